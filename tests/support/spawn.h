/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#ifndef TESTS_SPAWN_H
#define TESTS_SPAWN_H

/* A real agfsd for a test program: started on loopback, ended with the test at the latest. */
#include <stdint.h>
#include <sys/types.h>

struct spawned;

/*
 * Starts agfsd with TLS (certificates of pki_dir, client certificates optional) on tls_port (0: a
 * free one) and the further arguments (NULL-terminated); waits until it listens. Ends the process
 * with a message when that fails. The child dies with this process.
 */
struct spawned *spawn_agfsd(const char *agfsd, const char *pki_dir, uint16_t tls_port,
                            const char *const *args);
uint16_t spawned_tls_port(const struct spawned *s);
/* 0 without the argument "-addr". */
uint16_t spawned_clear_port(const struct spawned *s);
/* What a process has had resident at most, in KiB. */
long peak_kib(pid_t pid);
long spawned_peak_kib(const struct spawned *s);
pid_t spawned_pid(const struct spawned *s);
/* SIGTERM, or SIGKILL; waits; frees. */
void spawned_stop(struct spawned *s);
void spawned_kill(struct spawned *s);

#endif
