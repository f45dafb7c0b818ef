#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "misbehave.h"
int misbehave_parse(const char *text, struct misbehave_spec *ret, char error[MISBEHAVE_ERROR_BYTES_MAX])
{
    return -22;
}
size_t misbehave_count(const struct misbehave_spec *spec, size_t connections)
{
    return 0;
}
int misbehave_new(struct weir *weir, const struct misbehave_config *config, struct misbehave **ret,
                  char error[MISBEHAVE_ERROR_BYTES_MAX])
{
    return -22;
}
int misbehave_dial(struct misbehave *misbehave, size_t index)
{
    return 0;
}
void misbehave_stop(struct misbehave *misbehave)
{
}
void misbehave_add_text(struct line *line, const struct misbehave *misbehave)
{
}
void misbehave_add_json(struct line *line, const struct misbehave *misbehave)
{
}
void misbehave_free(struct misbehave *misbehave)
{
}
