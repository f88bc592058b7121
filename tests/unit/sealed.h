/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that must not reach the kernel: made in a child process that the first system call ends. */
#ifndef SXSK_TEST_SEALED_H
#define SXSK_TEST_SEALED_H

#include <criterion/criterion.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <safexsk/safexsk.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From here on this process may write to a descriptor and end; any other system call ends it, by SIGSYS. */
static inline void seal(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	const struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter))
		_exit(3);
}

/* Not a function that never returns: before those AddressSanitizer asks the kernel for the signal stack. */
static inline void sealed_end(int status)
{
	syscall(SYS_exit_group, status);
}

/* prepare(), then check() without a system call. Returns what waitpid() says: 0 when it was all right. */
static inline int in_sealed_child(void (*prepare)(void), void (*check)(void))
{
	const pid_t pid = fork();
	int status;

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		prepare();
		seal();
		check();
		sealed_end(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* In there: the call gave -err, and the sentence contains these words. */
static inline void check_refused(unsigned row, int got, int err, const char *words)
{
	char line[512];
	int n;

	if (got == -err && strstr(sxsk_last_error(), words))
		return;
	n = snprintf(line, sizeof(line), "row %u: %d instead of %d, \"%s\" instead of \"%s\"\n",
		     row, got, -err, sxsk_last_error(), words);
	sealed_end(write(STDERR_FILENO, line, (size_t)n) == n ? 1 : 2);
}

#endif
