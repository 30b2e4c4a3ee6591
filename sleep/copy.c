#include "copy.h"

#include "report.h"
#include "system.h"

#define PATH_BYTES 4096
#define MODE_FOR_EVERYONE 0755

/*
 * Write `path` and a suffix that no other run uses: the clock, as process numbers repeat in containers.
 * False when the path does not fit.
 */
static int name_temporary(char name[PATH_BYTES], const char *path)
{
	struct __kernel_timespec now = {0, 0};
	unsigned long length = 0;

	for (; path[length] != 0; length++) {
		if (length > PATH_BYTES - 32)
			return 0;
		name[length] = path[length];
	}
	system_clock(&now);
	unsigned long token = (unsigned long)now.tv_sec * 1000000000UL + (unsigned long)now.tv_nsec;
	name[length++] = '.';
	for (int shift = 60; shift >= 0; shift -= 4)
		name[length++] = "0123456789abcdef"[token >> shift & 15];
	name[length] = 0;
	return 1;
}

static long write_all(int file, const char *bytes, long size)
{
	while (size > 0) {
		long written = system_write(file, bytes, (unsigned long)size);
		if (written < 0 && written != -EINTR)
			return written;
		if (written > 0) {
			bytes += written;
			size -= written;
		}
	}
	return 0;
}

/* Copy what the one open file holds to the other; what failed is told with the path that it failed on. */
static int copy_bytes(int source, const char *from, int target, const char *to)
{
	char bytes[PATH_BYTES];
	long result;

	while ((result = system_read(source, bytes, sizeof bytes)) != 0) {
		if (result == -EINTR)
			continue;
		if (result < 0) {
			report_failure("cannot read", from, result);
			return 0;
		}
		result = write_all(target, bytes, result);
		if (result < 0) {
			report_failure("cannot write", to, result);
			return 0;
		}
	}
	return 1;
}

static int fill(int source, const char *from, int target, const char *to)
{
	if (!copy_bytes(source, from, target, to)) {
		system_close(target);
		return 0;
	}
	/* Not by the mode given to open, which the umask would cut. */
	long result = system_chmod_file(target, MODE_FOR_EVERYONE);
	long closed = system_close(target);
	if (result == 0)
		result = closed;
	if (result < 0)
		report_failure("cannot write", to, result);
	return result == 0;
}

static int copy_open(int source, const char *from, const char *to)
{
	char temporary[PATH_BYTES];

	if (!name_temporary(temporary, to)) {
		report_failure("cannot create", to, -ENAMETOOLONG);
		return 1;
	}
	int target = (int)system_open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	if (target < 0) {
		report_failure("cannot create", to, target);
		return 1;
	}
	int filled = fill(source, from, target, to);
	long renamed = filled ? system_rename(temporary, to) : 0;
	if (renamed < 0)
		report_failure("cannot create", to, renamed);
	if (filled && renamed == 0)
		return 0;
	system_remove(temporary);
	return 1;
}

int copy_program(const char *from, const char *to)
{
	int source = (int)system_open(from, O_RDONLY | O_CLOEXEC, 0);

	if (source < 0) {
		report_failure("cannot read", from, source);
		return 1;
	}
	int code = copy_open(source, from, to);
	system_close(source);
	return code;
}
