/*
 * The few system calls the sleeper makes.
 *
 * There is no C library: the sleeper is copied into the root file systems of unknown images, and a libc would
 * make it much larger. All four architectures are 64-bit Linux, which keeps the structures the same.
 */
#ifndef KIP_SYSTEM_H
#define KIP_SYSTEM_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/time_types.h>

/* One system call, in the architecture's way; a failure is a negative error number everywhere. */
long system_call(long number, long a, long b, long c, long d, long e);

#define STDOUT 1
#define STDERR 2
#define CLOCK_MONOTONIC 1
#define SIGCHLD_NUMBER 17
#define SIGCONT_NUMBER 18
#define SIGNAL_SET_BYTES 8
#define AUXV_EXECFN 31

/* As the kernel sees it; the members that the sleeper leaves zero differ in order between architectures. */
struct signal_action {
	unsigned long handler;
	unsigned long zeros[4];
};

static inline long system_exit(int code) { return system_call(__NR_exit_group, code, 0, 0, 0, 0); }

static inline long system_write(int file, const void *bytes, unsigned long size)
{
	return system_call(__NR_write, file, (long)bytes, (long)size, 0, 0);
}

static inline long system_read(int file, void *bytes, unsigned long size)
{
	return system_call(__NR_read, file, (long)bytes, (long)size, 0, 0);
}

static inline long system_open(const char *path, int flags, int mode)
{
	return system_call(__NR_openat, AT_FDCWD, (long)path, flags, mode, 0);
}

static inline long system_close(int file) { return system_call(__NR_close, file, 0, 0, 0, 0); }

static inline long system_chmod_file(int file, int mode)
{
	return system_call(__NR_fchmod, file, mode, 0, 0, 0);
}

static inline long system_rename(const char *from, const char *to)
{
	return system_call(__NR_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, 0);
}

static inline long system_remove(const char *path)
{
	return system_call(__NR_unlinkat, AT_FDCWD, (long)path, 0, 0, 0);
}

static inline long system_clock(struct __kernel_timespec *now)
{
	return system_call(__NR_clock_gettime, CLOCK_MONOTONIC, (long)now, 0, 0, 0);
}

/* SIG_IGN needs no handler and so none of the return trampolines that differ between architectures. */
static inline long system_ignore_signal(int signal)
{
	struct signal_action action = {1, {0, 0, 0, 0}};

	return system_call(__NR_rt_sigaction, signal, (long)&action, 0, SIGNAL_SET_BYTES, 0);
}

static inline long system_block_signals(const unsigned long *set)
{
	const int sig_block = 0;

	return system_call(__NR_rt_sigprocmask, sig_block, (long)set, 0, SIGNAL_SET_BYTES, 0);
}

static inline long system_wait_for_signal(const unsigned long *set, const struct __kernel_timespec *at_most)
{
	return system_call(__NR_rt_sigtimedwait, (long)set, 0, (long)at_most, SIGNAL_SET_BYTES, 0);
}

#endif
