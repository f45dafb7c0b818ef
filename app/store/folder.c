/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Folders, and the lock. The lock is a file of its own and not the database: whoever closes any
 * descriptor of a database drops all locks that his process has on it (fcntl(2)). It is flock(2), which goes with the
 * process however that ends, and the file stays: one that is taken away while another process waits for it would be
 * two. */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

/* In no header of Debian 12. */
static const uint32_t cifs_magic = 0xff534d42;
static const uint32_t ceph_magic = 0x00c36400;
static const uint32_t lustre_magic = 0x0bd00bd0;

/* What a network file system calls itself; NULL for others. */
static const char *network_name(uint32_t type)
{
    const struct {
        uint32_t type;
        const char *name;
    } systems[] = {
        { NFS_SUPER_MAGIC, "NFS" }, { cifs_magic, "CIFS" }, { SMB2_SUPER_MAGIC, "SMB" }, { SMB_SUPER_MAGIC, "SMB" },
        { ceph_magic, "Ceph" },     { V9FS_MAGIC, "9P" },   { AFS_SUPER_MAGIC, "AFS" },  { lustre_magic, "Lustre" },
    };

    for (size_t i = 0; i < sizeof(systems) / sizeof(systems[0]); i++)
        if (systems[i].type == type) return systems[i].name;
    return NULL;
}

int folder_default(const char *name, char ret[FOLDER_PATH_BYTES_MAX], char error[FOLDER_ERROR_BYTES_MAX])
{
    const char *state = getenv("STATE_DIRECTORY");
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int len = 0;

    if (state && *state == '/')
        len = snprintf(ret, FOLDER_PATH_BYTES_MAX, "%.*s/%s", (int)strcspn(state, ":"), state, name);
    else if (xdg && *xdg == '/')
        len = snprintf(ret, FOLDER_PATH_BYTES_MAX, "%s/weir/%s", xdg, name);
    else if (home && *home == '/')
        len = snprintf(ret, FOLDER_PATH_BYTES_MAX, "%s/.local/state/weir/%s", home, name);
    if (len == 0) {
        snprintf(error, FOLDER_ERROR_BYTES_MAX,
                 "no place for the store: HOME is %.300s%s; name one with --store PATH, or do without: --store none",
                 !home   ? "not set"
                 : *home ? home
                         : "empty",
                 home && *home ? ", which is no absolute path" : "");
        return -ENOENT;
    }
    if (len < FOLDER_PATH_BYTES_MAX) return 0;
    snprintf(error, FOLDER_ERROR_BYTES_MAX, "the store's path is too long; name another with --store PATH");
    return -ENAMETOOLONG;
}

int folder_resolve(const char *named, char ret[FOLDER_PATH_BYTES_MAX], char error[FOLDER_ERROR_BYTES_MAX])
{
    char folder[FOLDER_PATH_BYTES_MAX] = "";
    int len = 0;

    if (*named != '/' && !getcwd(folder, sizeof(folder))) {
        const int err = -errno;

        snprintf(error, FOLDER_ERROR_BYTES_MAX, "store %.400s: the working directory has no name: %s", named,
                 strerror(-err));
        return err;
    }
    while (strncmp(named, "./", 2) == 0)
        named += strspn(named + 1, "/") + 1;
    len = snprintf(ret, FOLDER_PATH_BYTES_MAX, "%s%s%s", folder, folder[0] && folder[1] ? "/" : "", named);
    if (len < FOLDER_PATH_BYTES_MAX) return 0;
    snprintf(error, FOLDER_ERROR_BYTES_MAX, "--store: the path is too long");
    return -ENAMETOOLONG;
}

/* The folder that a path lies in; "." when it names none. */
static void parent_of(const char *path, char ret[FOLDER_PATH_BYTES_MAX])
{
    const char *slash = strrchr(path, '/');
    const size_t len = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;

    if (len == 0)
        memcpy(ret, ".", sizeof("."));
    else
        snprintf(ret, FOLDER_PATH_BYTES_MAX, "%.*s", (int)len, path);
}

static int sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = fd < 0 ? -errno : 0;

    if (!err && fsync(fd) != 0) err = -errno;
    if (fd >= 0) close(fd);
    return err;
}

/* Makes one folder, and those it lies in. */
static int make_folder(const char *path)
{
    char parent[FOLDER_PATH_BYTES_MAX];
    struct stat status;
    int err = 0;

    if (stat(path, &status) == 0) return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
    if (errno != ENOENT) return -errno;
    parent_of(path, parent);
    err = make_folder(parent);
    if (!err && mkdir(path, 0700) != 0 && errno != EEXIST) err = -errno;
    return err ? err : sync_folder(parent);
}

static int say_folder(int err, const char *folder, char error[FOLDER_ERROR_BYTES_MAX])
{
    if (err) snprintf(error, FOLDER_ERROR_BYTES_MAX, "folder %.500s: %s", folder, strerror(-err));
    return err;
}

static int check_file_system(const char *folder, char error[FOLDER_ERROR_BYTES_MAX])
{
    struct statfs status;
    const char *name = NULL;

    if (statfs(folder, &status) != 0) return say_folder(-errno, folder, error);
    name = network_name((uint32_t)status.f_type);
    if (!name) return 0;
    snprintf(
        error, FOLDER_ERROR_BYTES_MAX,
        "store in %.300s: this is a network file system (%s), where locks and syncs are not to be relied on; name a "
        "local one with --store PATH, or ask for it with --store-on-network",
        folder, name);
    return -EOPNOTSUPP;
}

int folder_make(const char *path, char error[FOLDER_ERROR_BYTES_MAX])
{
    char folder[FOLDER_PATH_BYTES_MAX];

    parent_of(path, folder);
    return say_folder(make_folder(folder), folder, error);
}

static void say_missing(const char *folder, char error[FOLDER_ERROR_BYTES_MAX])
{
    const char *again = strlen(folder) < 150 ? folder : "FOLDER"; /* a command must be whole */
    struct stat status;

    if (lstat(folder, &status) == 0)
        snprintf(error, FOLDER_ERROR_BYTES_MAX,
                 "folder %.200s: it is a link, and where it leads to is nothing; mount the volume, or make the folder: "
                 "mkdir -p \"$(readlink -m %s)\"",
                 folder, again);
    else
        snprintf(error, FOLDER_ERROR_BYTES_MAX,
                 "folder %.200s: it is not there, and it is not made, because a store was named in it: the name may be "
                 "wrong, or a volume not mounted; mount it, or make the folder: mkdir -p %s",
                 folder, again);
}

int folder_check(const char *path, bool allow_network, char error[FOLDER_ERROR_BYTES_MAX])
{
    char folder[FOLDER_PATH_BYTES_MAX];
    struct stat status;

    parent_of(path, folder);
    if (stat(folder, &status) != 0) {
        const int err = say_folder(-errno, folder, error);

        if (err == -ENOENT) say_missing(folder, error);
        return err;
    }
    if (!S_ISDIR(status.st_mode)) return say_folder(-ENOTDIR, folder, error);
    return allow_network ? 0 : check_file_system(folder, error);
}

int folder_follow(char path[FOLDER_PATH_BYTES_MAX], char error[FOLDER_ERROR_BYTES_MAX])
{
    char *target = NULL;
    struct stat status;
    int err = 0;

    if (lstat(path, &status) != 0 || !S_ISLNK(status.st_mode)) return 0;
    target = realpath(path, NULL);
    if (!target) err = -errno;
    if (!err && strlen(target) >= FOLDER_PATH_BYTES_MAX) err = -ENAMETOOLONG;
    if (err)
        snprintf(error, FOLDER_ERROR_BYTES_MAX, "store %.300s: it is a link, and where it leads to is no file: %s",
                 path, strerror(-err));
    else
        memcpy(path, target, strlen(target) + 1);
    free(target);
    return err;
}

/* Whether a file begins as SQLite's do; an empty one will. Returns 0 or a code. */
static int read_is_database(const char *path, bool *ret)
{
    static const char header[16] = "SQLite format 3";
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char found[sizeof(header)];
    ssize_t len = 0;
    int err = 0;

    if (fd < 0) return -errno;
    len = read(fd, found, sizeof(found));
    if (len < 0) err = -errno;
    close(fd);
    *ret = len == 0 || (len == sizeof(header) && memcmp(found, header, sizeof(header)) == 0);
    return err;
}

bool folder_is_on_network(const char *path)
{
    struct statfs status;

    return statfs(path, &status) == 0 && network_name((uint32_t)status.f_type);
}

int64_t folder_bytes_beside(const char *path, const char *end)
{
    char name[FOLDER_PATH_BYTES_MAX + FOLDER_END_BYTES_MAX];
    struct stat status;

    snprintf(name, sizeof(name), "%s%s", path, end);
    return stat(name, &status) == 0 ? (int64_t)status.st_size : 0;
}

/* What SQLite may make good from a log beside it is left to SQLite: a power cut can leave zeros. */
static int check_content(const char *path, char error[FOLDER_ERROR_BYTES_MAX])
{
    bool is_database = false;
    const int err = read_is_database(path, &is_database);

    if (!err && (is_database || folder_bytes_beside(path, "-wal") > 0 || folder_bytes_beside(path, "-journal") > 0))
        return 0;
    snprintf(error, FOLDER_ERROR_BYTES_MAX, "store %.400s: %s", path, err ? strerror(-err) : "file is not a database");
    return err ? err : -EINVAL;
}

bool folder_is_beside_a_store(const char *path)
{
    static const char *const ends[] = { "-wal", "-shm", "-journal", ".lock", ".reserve" };
    const size_t len = strlen(path);

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (len >= strlen(ends[i]) && strcmp(path + len - strlen(ends[i]), ends[i]) == 0) return true;
    return false;
}

int folder_check_file(const char *path, char error[FOLDER_ERROR_BYTES_MAX])
{
    struct stat status;

    if (folder_is_beside_a_store(path)) {
        snprintf(error, FOLDER_ERROR_BYTES_MAX,
                 "store %.400s: files of such names belong to the store beside them; name another", path);
        return -EINVAL;
    }
    if (stat(path, &status) != 0) return 0;
    if (!S_ISREG(status.st_mode)) {
        snprintf(error, FOLDER_ERROR_BYTES_MAX, "store %.400s: %s", path,
                 S_ISDIR(status.st_mode) ? "this is a folder; name a file in it" : "this is not a regular file");
        return -EINVAL;
    }
    if (status.st_nlink > 1) {
        snprintf(error, FOLDER_ERROR_BYTES_MAX,
                 "store %.300s: its file has %lu names, and each would have a log of its own, which loses messages; "
                 "remove all but one, that with the -wal beside it; find -samefile lists them",
                 path, (unsigned long)status.st_nlink);
        return -EMLINK;
    }
    return check_content(path, error);
}

int folder_sync_parent(const char *path)
{
    char folder[FOLDER_PATH_BYTES_MAX];

    parent_of(path, folder);
    return sync_folder(folder);
}

int folder_make_file(const char *path, char error[FOLDER_ERROR_BYTES_MAX])
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int err = fd < 0 ? -errno : 0;

    if (err == -EEXIST) return 0;
    if (fd >= 0) close(fd);
    if (!err) err = folder_sync_parent(path);
    if (err) snprintf(error, FOLDER_ERROR_BYTES_MAX, "store %.500s: %s", path, strerror(-err));
    return err;
}

int folder_space(const char *path, int64_t *ret_bytes, int64_t *ret_free_bytes)
{
    char folder[FOLDER_PATH_BYTES_MAX];
    struct statvfs status;

    parent_of(path, folder);
    if (statvfs(folder, &status) != 0) return -errno;
    *ret_bytes = (int64_t)(status.f_blocks * status.f_frsize);
    *ret_free_bytes = (int64_t)(status.f_bavail * status.f_frsize);
    return 0;
}

/* Who has the lock, as he wrote it there: 0 when he has not, or is gone and whoever looks at the store has it. */
static long read_holder(int lock)
{
    char text[32] = "";
    const long pid = pread(lock, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;

    return pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM) ? pid : 0;
}

static int write_holder(int lock)
{
    char text[32];
    const int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    return ftruncate(lock, 0) == 0 && pwrite(lock, text, (size_t)len, 0) == len ? 0 : -errno;
}

void folder_give_to_owner(int fd, const char *path)
{
    char log[FOLDER_PATH_BYTES_MAX + sizeof("-wal")];
    struct stat owner;

    if (geteuid() != 0) return;
    snprintf(log, sizeof(log), "%s-wal", path);
    if (stat(path, &owner) != 0 && stat(log, &owner) != 0) return;
    if (fchown(fd, owner.st_uid, owner.st_gid) != 0) return; /* root has it then, as without this */
}

/* An old one keeps its owner, whatever somebody has put in its place. */
static int open_lock(const char *name, const char *path)
{
    const int lock = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (lock >= 0) folder_give_to_owner(lock, path);
    return lock < 0 && errno == EEXIST ? open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : lock;
}

/* Returns the descriptor, or closes it and returns a code with a sentence. */
static int take_lock(int lock, int operation, const char *path, char error[FOLDER_ERROR_BYTES_MAX])
{
    int err = lock < 0 ? -errno : 0;

    if (!err && flock(lock, operation | LOCK_NB) != 0) err = errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (!err) return lock;
    if (err == -EBUSY && read_holder(lock) > 0)
        snprintf(error, FOLDER_ERROR_BYTES_MAX, "store %.400s: in use by process %ld", path, read_holder(lock));
    else
        snprintf(error, FOLDER_ERROR_BYTES_MAX, "%s %.400s: %s", err == -EBUSY ? "store" : "lock of store", path,
                 err == -EBUSY ? "in use by another process" : strerror(-err));
    if (lock >= 0) close(lock);
    return err;
}

int folder_lock(const char *path, char error[FOLDER_ERROR_BYTES_MAX])
{
    char name[FOLDER_PATH_BYTES_MAX + sizeof(".lock")];
    int lock = -1;

    snprintf(name, sizeof(name), "%s.lock", path);
    lock = take_lock(open_lock(name, path), LOCK_EX, path, error);
    if (lock >= 0) write_holder(lock); /* for people; on a full disk the lock holds all the same */
    return lock;
}

int folder_lock_to_look(const char *path, char error[FOLDER_ERROR_BYTES_MAX])
{
    char name[FOLDER_PATH_BYTES_MAX + sizeof(".lock")];

    snprintf(name, sizeof(name), "%s.lock", path);
    return take_lock(open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), LOCK_SH, path, error);
}

void folder_unlock(int lock)
{
    if (lock >= 0) close(lock);
}

bool folder_is_locked(const char *path)
{
    char name[FOLDER_PATH_BYTES_MAX + sizeof(".lock")];
    int lock = -1;
    bool is = false;

    snprintf(name, sizeof(name), "%s.lock", path);
    lock = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (lock < 0) return false;
    is = flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(lock);
    return is;
}
