/* SPDX-License-Identifier: BSD-3-Clause
 *
 * tests/app/older.h: the way back to older versions of the schema, as SQL. */
#ifndef TESTS_APP_OLDER_H
#define TESTS_APP_OLDER_H

#define BACK_TO_VERSION_2                                                                       \
    "DROP VIEW conversation; DROP TABLE cursor; ALTER TABLE client DROP COLUMN first_seen;"     \
    "ALTER TABLE client DROP COLUMN last_seen; ALTER TABLE client DROP COLUMN last_connection;" \
    "ALTER TABLE connection DROP COLUMN device; ALTER TABLE connection DROP COLUMN proxy;"      \
    "ALTER TABLE connection DROP COLUMN tls_subject;"

#endif
