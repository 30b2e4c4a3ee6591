/* Words for people, on standard output and standard error. */
#ifndef KIP_REPORT_H
#define KIP_REPORT_H

/* Write the texts one after the other; the last argument is a null pointer. */
void write_texts(int file, const char *const *texts);

#define print(file, ...) write_texts(file, (const char *const[]){__VA_ARGS__, 0})

/* Say "sleep: ACTION PATH: reason" on standard error, for the negative result of a system call. */
void report_failure(const char *action, const char *path, long result);

#endif
