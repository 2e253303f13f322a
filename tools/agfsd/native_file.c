/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "native_file.h"
#include "base/alloc.h"
#include "base/err.h"
#include "base/path.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define THIS_MACHINE EM_AARCH64
#elif defined(__riscv)
#define THIS_MACHINE EM_RISCV
#else
#error "add the ELF machine number of this platform"
#endif

#define COPIES_MAX 1000 /* of one base name; more are a leak somewhere */

static enum pfs_class fail_errno(struct pfs_error *err, const char *what, const char *path)
{
    int eno = errno;
    enum pfs_class cls = pfs_refuse(err, pfs_class_of_errno(eno), "%s %s: %s", what, path,
                                    strerrordesc_np(eno) ? strerrordesc_np(eno) : "error");

    if (err) {
        err->sys_errno = eno;
    }
    return cls;
}

enum pfs_class native_file_key(const char *path, char **ret, struct pfs_error *err)
{
    char cwd[PFS_PATH_MAX], joined[2 * PFS_PATH_MAX + 2], clean[PFS_PATH_MAX + 1];

    if (!path || !path[0]) {
        return pfs_refuse(err, PFS_INVALID, "library_path is required");
    }
    if (!getcwd(cwd, sizeof cwd)) {
        return fail_errno(err, "working directory for", path);
    }
    int n = path[0] == '/' ? snprintf(joined, sizeof joined, "%s", path)
                           : snprintf(joined, sizeof joined, "%s/%s", cwd, path);
    if (n < 0 || (size_t)n >= sizeof joined) {
        return pfs_refuse(err, PFS_INVALID, "invalid library path: file name too long");
    }
    enum pfs_class cls = pfs_path_normalize(joined, (size_t)n, clean, err);
    if (cls != PFS_OK) {
        return cls;
    }
    *ret = pfs_strdup(clean);
    return *ret ? PFS_OK : pfs_nomem(err, "a path");
}

static enum pfs_class check_header(const char *path, const Elf64_Ehdr *h, struct pfs_error *err)
{
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0) {
        return pfs_refuse(err, PFS_CONFIG, "unsupported plugin type: %s is not an ELF file", path);
    }
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
        h->e_machine != THIS_MACHINE) {
        return pfs_refuse(err, PFS_CONFIG, "unsupported plugin type: %s is for another machine",
                          path);
    }
    if (h->e_type != ET_DYN) {
        return pfs_refuse(err, PFS_CONFIG, "unsupported plugin type: %s is not a shared library",
                          path);
    }
    return PFS_OK;
}

/* Is all there that will be mapped? Touching what is not ends the process (SIGBUS). */
static enum pfs_class check_segments(const char *path, int fd, const Elf64_Ehdr *h, int64_t size,
                                     struct pfs_error *err)
{
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;
        uint64_t at = h->e_phoff + (uint64_t)i * sizeof p, end;

        if (h->e_phentsize != sizeof p || at > (uint64_t)size ||
            pread(fd, &p, sizeof p, (off_t)at) != (ssize_t)sizeof p ||
            (p.p_type == PT_LOAD &&
             (__builtin_add_overflow(p.p_offset, p.p_filesz, &end) || end > (uint64_t)size))) {
            return pfs_refuse(err, PFS_CONFIG, "unsupported plugin type: %s is cut short", path);
        }
    }
    return PFS_OK;
}

enum pfs_class native_file_check(const char *path, struct pfs_error *err)
{
    Elf64_Ehdr h = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */

    if (fd < 0) {
        return errno == ENOENT ? pfs_refuse(err, PFS_NOTFOUND,
                                            "failed to detect plugin type: plugin file not found: "
                                            "%s: no such file or directory",
                                            path)
                               : fail_errno(err, "failed to detect plugin type:", path);
    }
    enum pfs_class cls;
    if (fstat(fd, &st) != 0) {
        cls = fail_errno(err, "failed to detect plugin type:", path);
    } else if (!S_ISREG(st.st_mode)) {
        cls = pfs_refuse(err, PFS_CONFIG, "unsupported plugin type: %s is not a file", path);
    } else if (read(fd, &h, sizeof h) != (ssize_t)sizeof h) {
        cls = pfs_refuse(err, PFS_CONFIG, "unsupported plugin type: %s is too short", path);
    } else {
        cls = check_header(path, &h, err);
    }
    if (cls == PFS_OK) {
        cls = check_segments(path, fd, &h, st.st_size, err);
    }
    close(fd);
    return cls;
}

/* Creates the first free copy name; returns its fd, or -1 with errno. */
static int create_copy(const char *path, char *name, size_t cap)
{
    const char *dir = getenv("TMPDIR"), *base = pfs_path_base(path);
    const char *dot = strrchr(base, '.');
    int stem = dot ? (int)(dot - base) : (int)strlen(base);

    if (!dir || dir[0] != '/') {
        dir = "/tmp";
    }
    for (int i = 1; i <= COPIES_MAX; i++) {
        int n = snprintf(name, cap, "%s/%.*s.%d%s", dir, stem, base, i, dot ? dot : "");
        int fd = n < 0 || (size_t)n >= cap
                     ? (errno = ENAMETOOLONG, -1)
                     : open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

        if (fd >= 0 || errno != EEXIST) {
            return fd;
        }
    }
    return -1;
}

static bool copy_bytes(int from, int to)
{
    ssize_t n;

    do {
        n = sendfile(to, from, NULL, 1u << 20);
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n == 0;
}

enum pfs_class native_file_copy(const char *path, char **ret, struct pfs_error *err)
{
    char name[PFS_PATH_MAX + 1];
    int from = open(path, O_RDONLY | O_CLOEXEC);

    if (from < 0) {
        return fail_errno(err, "failed to copy plugin", path);
    }
    int to = create_copy(path, name, sizeof name);
    enum pfs_class cls = PFS_OK;
    if (to < 0 || !copy_bytes(from, to)) {
        cls = fail_errno(err, "failed to copy plugin to", name);
    }
    if (to >= 0 && close(to) != 0 && cls == PFS_OK) {
        cls = fail_errno(err, "failed to copy plugin to", name);
    }
    close(from);
    if (cls == PFS_OK && !(*ret = pfs_strdup(name))) {
        cls = pfs_nomem(err, "a path");
    }
    if (cls != PFS_OK && to >= 0) {
        unlink(name);
    }
    return cls;
}
