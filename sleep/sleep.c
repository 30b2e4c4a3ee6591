/*
 * The sleeper: the one program that runs in every cache container, in root file systems of unknown images.
 *
 * It waits for a duration, ends at once on any signal, and copies itself. Under the name `sh` it understands
 * the one command that cache pods give to their init container, so that the same pod works with an image that
 * has a shell and with the sleeper's own image, which has nothing but this file.
 */
#include "copy.h"
#include "duration.h"
#include "report.h"
#include "system.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

/* As upstream's sleeper answers wrong use. */
#define EXIT_WRONG_USE 255
/* As a shell answers a command that it does not have. */
#define EXIT_NO_SUCH_COMMAND 127

#define MOST_WORD_BYTES 4096

static const char usage[] = "Usage: sleep DURATION         wait, as 720h, 1h30m or 1.5s; any signal ends it\n"
			    "       sleep --install PATH   put a copy of this program at PATH, mode 0755\n"
			    "       sleep --version\n"
			    "       sleep --help\n"
			    "Called as sh it knows one command: sh -c \"cp FROM TO\".\n";

static int equal(const char *a, const char *b)
{
	while (*a != 0 && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static const char *last_element(const char *path)
{
	const char *name = path;

	for (; *path != 0; path++)
		if (*path == '/')
			name = path + 1;
	return name;
}

/* The wait that is left of `whole` nanoseconds begun at `start`; false when none is. */
static int remaining(long whole, const struct __kernel_timespec *start, struct __kernel_timespec *left)
{
	struct __kernel_timespec now;

	system_clock(&now);
	long passed = (now.tv_sec - start->tv_sec) * 1000000000L + (now.tv_nsec - start->tv_nsec);
	left->tv_sec = (whole - passed) / 1000000000L;
	left->tv_nsec = (whole - passed) % 1000000000L;
	return whole > passed;
}

/*
 * Wait until the time is over or a signal comes.
 *
 * The signals are blocked and waited for, not handled: a blocked signal reaches process 1 of a container like
 * any other process, whatever signal the image names as its STOPSIGNAL, and no handler can run at a bad time.
 * Children that a dying process leaves to process 1 are no reason to end; with SIGCHLD ignored the kernel
 * buries them.
 */
static void wait_for(long nanoseconds)
{
	const unsigned long all = ~0UL;
	const unsigned long ending = all & ~(1UL << (SIGCHLD_NUMBER - 1)) & ~(1UL << (SIGCONT_NUMBER - 1));
	struct __kernel_timespec start, left;

	if (nanoseconds <= 0)
		return;
	system_ignore_signal(SIGCHLD_NUMBER);
	system_block_signals(&all);
	system_clock(&start);
	left.tv_sec = nanoseconds / 1000000000L;
	left.tv_nsec = nanoseconds % 1000000000L;
	/* A process that was stopped and continued sees its wait interrupted, and waits on. */
	while (system_wait_for_signal(&ending, &left) == -EINTR)
		if (!remaining(nanoseconds, &start, &left))
			return;
}

static int run_sleep(const char *text)
{
	long nanoseconds;
	const char *problem = parse_duration(text, &nanoseconds);

	if (problem) {
		print(STDERR, "sleep: \"", text, "\" is no duration: ", problem, "\n", usage);
		return EXIT_WRONG_USE;
	}
	wait_for(nanoseconds);
	return 0;
}

/* This program's file: the path it was started by serves where /proc is not mounted. */
static int install(const char *path, const char *started_as)
{
	const char *self = "/proc/self/exe";
	int probe = (int)system_open(self, O_RDONLY | O_CLOEXEC, 0);

	if (probe < 0)
		self = started_as;
	else
		system_close(probe);
	return copy_program(self, path);
}

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\n'; }

/* A character that a real shell would not take as itself. */
static int is_special(char c)
{
	for (const char *special = "\"#$&'()*;<=>?[\\]`{|}~!"; *special != 0; special++)
		if (*special == c)
			return 1;
	return 0;
}

/* Cut the next word off the command; false when there is none, it is too long, or needs a real shell. */
static int next_word(const char **command, char word[MOST_WORD_BYTES])
{
	unsigned long length = 0;

	while (is_space(**command))
		(*command)++;
	for (; **command != 0 && !is_space(**command); (*command)++) {
		if (is_special(**command) || length == MOST_WORD_BYTES - 1)
			return 0;
		word[length++] = **command;
	}
	word[length] = 0;
	return length > 0;
}

static int run_shell_command(const char *command)
{
	char name[MOST_WORD_BYTES], from[MOST_WORD_BYTES], to[MOST_WORD_BYTES];
	const char *rest = command;
	int understood = next_word(&rest, name) && equal(name, "cp") && next_word(&rest, from) &&
			 from[0] != '-' && next_word(&rest, to);

	while (is_space(*rest))
		rest++;
	if (understood && *rest == 0)
		return copy_program(from, to);
	print(STDERR, "sh: this is kip's sleeper, not a shell: it knows only \"cp FROM TO\", not \"", command,
	      "\"\n");
	return EXIT_NO_SUCH_COMMAND;
}

static int run_shell(int count, const char *const *arguments)
{
	if (count == 3 && equal(arguments[1], "-c"))
		return run_shell_command(arguments[2]);
	print(STDERR, "sh: this is kip's sleeper, not a shell: it knows only sh -c \"cp FROM TO\"\n");
	return EXIT_NO_SUCH_COMMAND;
}

static int run(int count, const char *const *arguments, const char *started_as)
{
	if (count > 0 && equal(last_element(arguments[0]), "sh"))
		return run_shell(count, arguments);
	if (count == 3 && equal(arguments[1], "--install"))
		return install(arguments[2], started_as);
	if (count == 2 && equal(arguments[1], "--version")) {
		print(STDOUT, "kip sleep " VERSION "\n");
		return 0;
	}
	if (count == 2 && equal(arguments[1], "--help")) {
		print(STDOUT, usage);
		return 0;
	}
	if (count == 2)
		return run_sleep(arguments[1]);
	print(STDERR, usage);
	return EXIT_WRONG_USE;
}

/* The path by which the kernel started this program, from the auxiliary vector behind the environment. */
static const char *find_started_as(const long *environment)
{
	while (*environment != 0)
		environment++;
	for (const long *entry = environment + 1; entry[0] != 0; entry += 2)
		if (entry[0] == AUXV_EXECFN)
			return (const char *)entry[1];
	return "/bin/sleep";
}

/* Called by the entry point, with the stack: count, arguments, environment, auxiliary. */
__attribute__((used, noreturn)) void start(const long *stack)
{
	int count = (int)stack[0];
	const char *const *arguments = (const char *const *)(stack + 1);

	system_exit(run(count, arguments, find_started_as(stack + 1 + count + 1)));
	__builtin_unreachable();
}
