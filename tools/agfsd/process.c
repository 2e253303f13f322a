/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "process.h"
#include "base/log.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define FILES_WANTED 65536 /* two for each connection that reads a file, at 32768 of them */

void process_set_limits(void)
{
    const struct rlimit none = {0, 0};
    struct rlimit l;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that is too large is an error of that request */
    setrlimit(RLIMIT_CORE, &none);
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_max = l.rlim_max < FILES_WANTED ? FILES_WANTED : l.rlim_max; /* root may */
        l.rlim_cur = l.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &l) != 0 && getrlimit(RLIMIT_NOFILE, &l) == 0) {
            l.rlim_cur = l.rlim_max;
            setrlimit(RLIMIT_NOFILE, &l);
        }
    }
}

/*
 * What no file server needs, and what somebody who has taken one over would want. Drivers and
 * loaded plugins may do anything else. Not ptrace: leak checkers attach to their own process.
 */
static const int forbidden[] = {
    SYS_execve,
    SYS_execveat,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_process_vm_readv,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_process_vm_writev,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_acct,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_open_by_handle_at,
    SYS_sethostname,
};
#define N_FORBIDDEN (sizeof forbidden / sizeof *forbidden)

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0
#endif
#define X32_BIT 0x40000000u /* the other numbering of amd64, which would lead around the list */

/* The filter: numbers of the list fail with EPERM, everything else passes. */
static bool forbid(void)
{
    struct sock_filter code[N_FORBIDDEN + 7];
    unsigned short n = 0;

    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 0, N_FORBIDDEN + 3);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    code[n++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, N_FORBIDDEN + 1, 0);
    for (size_t i = 0; i < N_FORBIDDEN; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)forbidden[i],
                                                 N_FORBIDDEN - i, 0);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    const struct sock_fprog program = {.len = n, .filter = code};

    return ARCH != 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

void process_give_up_rights(bool sandbox)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        log_warn("rights cannot be given up: %s", strerrordesc_np(errno));
    } else if (sandbox && !forbid()) {
        log_warn("no sandbox here: %s", ARCH ? strerrordesc_np(errno) : "unknown processor");
    }
}
