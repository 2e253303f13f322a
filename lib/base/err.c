/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/* Errors as one table (error.h), filling and prefixing of error values. Called by every room. */
#include "base/err.h"
#include "base/utf8.h"
#include <errno.h>
#include <proxyfs/driver.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct class_row {
    const char *name;
    int http, exit_code, eno;
    const char *text;
} classes[PFS_N_CLASSES] = {
#define X(id, name, http, exit_code, eno, text) [PFS_##id] = {name, http, exit_code, eno, text},
    PFS_CLASS_TABLE(X)
#undef X
};

static const struct class_row *class_row(enum pfs_class cls)
{
    return &classes[(unsigned)cls < PFS_N_CLASSES ? cls : PFS_IO];
}

const char *pfs_class_name(enum pfs_class cls)
{
    return class_row(cls)->name;
}

const char *pfs_class_text(enum pfs_class cls)
{
    return class_row(cls)->text;
}

int pfs_class_http(enum pfs_class cls)
{
    return class_row(cls)->http;
}

int pfs_class_exit(enum pfs_class cls)
{
    return class_row(cls)->exit_code;
}

int pfs_class_errno(enum pfs_class cls)
{
    return class_row(cls)->eno;
}

enum pfs_class pfs_class_by_name(const char *name)
{
    for (unsigned i = 0; name && i < PFS_N_CLASSES; i++) {
        if (strcmp(classes[i].name, name) == 0) {
            return (enum pfs_class)i;
        }
    }
    return PFS_IO;
}

const char *pfs_outcome_name(enum pfs_outcome outcome)
{
    switch (outcome) {
    case PFS_OUTCOME_NA:
        return "NA";
    case PFS_OUTCOME_AP:
        return "AP";
    case PFS_OUTCOME_UN:
        break;
    }
    return "UN";
}

const char *pfs_phase_name(enum pfs_phase phase)
{
    static const char *const names[PFS_N_PHASES] = {
        "local", "queue", "dns", "connect", "tls", "settings", "send", "wait", "body", "reply"};

    return (unsigned)phase < PFS_N_PHASES ? names[phase] : "local";
}

const char *pfs_op_name(enum pfs_op op)
{
    static const char *const names[PFS_N_OPS] = {
#define X(id, name, cls) [PFS_OP_##id] = name,
        PFS_OP_TABLE(X)
#undef X
    };

    return (unsigned)op < PFS_N_OPS ? names[op] : "unknown";
}

size_t pfs_escape_line(char *dst, size_t cap, const char *s, size_t n)
{
    size_t len = 0;

    if (cap == 0) {
        return 0;
    }
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t seq = c < 0x20 || c == 0x7f ? 0 : pfs_utf8_len(s + i, n - i);
        size_t need = seq ? seq : 4;

        if (need >= cap - len) {
            break;
        }
        if (seq) {
            memcpy(dst + len, s + i, seq);
        } else {
            static const char hex[] = "0123456789abcdef";

            dst[len] = '\\';
            dst[len + 1] = 'x';
            dst[len + 2] = hex[c >> 4];
            dst[len + 3] = hex[c & 15];
        }
        len += need;
        i += seq ? seq : 1;
    }
    dst[len] = '\0';
    return len;
}

static void set_text(struct pfs_error *err, const char *format, va_list args)
{
    char raw[2 * PFS_ERROR_TEXT_MAX];
    int n = vsnprintf(raw, sizeof raw, format, args);

    if (n < 0) {
        n = 0;
    }
    if ((size_t)n >= sizeof raw) {
        n = (int)sizeof raw - 1;
    }
    pfs_escape_line(err->text, sizeof err->text, raw, (size_t)n);
}

enum pfs_class pfs_fail(struct pfs_error *err, enum pfs_class cls, enum pfs_outcome outcome,
                        enum pfs_phase phase, const char *format, ...)
{
    if (err) {
        va_list args;

        va_start(args, format);
        *err = (struct pfs_error){.cls = cls, .outcome = outcome, .phase = phase};
        set_text(err, format, args);
        va_end(args);
    }
    return cls;
}

enum pfs_class pfs_refuse(struct pfs_error *err, enum pfs_class cls, const char *format, ...)
{
    if (err) {
        va_list args;

        va_start(args, format);
        *err = (struct pfs_error){.cls = cls, .outcome = PFS_OUTCOME_NA};
        set_text(err, format, args);
        va_end(args);
    }
    return cls;
}

enum pfs_class pfs_nomem(struct pfs_error *err, const char *what)
{
    return pfs_refuse(err, PFS_NOMEM, "out of memory for %s", what);
}

enum pfs_class pfs_short_write(struct pfs_error *err, int64_t written, size_t len)
{
    return pfs_fail(err, PFS_TRUNCATED, PFS_OUTCOME_AP, PFS_PHASE_REPLY,
                    "the remote wrote %lld of %zu bytes", (long long)written, len);
}

void pfs_err_prefix(struct pfs_error *err, const char *format, ...)
{
    if (err) {
        char prefix[PFS_ERROR_TEXT_MAX], whole[2 * PFS_ERROR_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(prefix, sizeof prefix, format, args);
        va_end(args);
        int n = snprintf(whole, sizeof whole, "%s: %s", prefix, err->text);
        pfs_escape_line(err->text, sizeof err->text, whole, n < 0 ? 0 : strlen(whole));
    }
}

enum pfs_class pfs_class_of_errno(int eno)
{
    switch (eno) {
    case ENOENT:
        return PFS_NOTFOUND;
    case EACCES:
    case EPERM:
    case EROFS:
    case EXDEV: /* openat2 says so for a way out of the tree */
        return PFS_DENIED;
    case EEXIST:
    case ENOTEMPTY:
        return PFS_EXISTS;
    case EISDIR:
    case ENOTDIR:
    case EINVAL:
    case ELOOP:
    case ENAMETOOLONG:
        return PFS_BADARG;
    case EFBIG:
        return PFS_TOOBIG;
    case ENOSPC:
    case EDQUOT:
        return PFS_NOSPC;
    case EBUSY:
    case ETXTBSY:
        return PFS_BUSY;
    case ENOMEM:
        return PFS_NOMEM;
    case EMFILE:
    case ENFILE:
        return PFS_NOFILE;
    case ENOSYS:
    case EOPNOTSUPP:
        return PFS_UNSUPPORTED;
    default:
        return PFS_IO;
    }
}
