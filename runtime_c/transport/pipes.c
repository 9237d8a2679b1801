/* The transport of a Linux program: two files of its current folder, which are pipes of the runner
 * (runners/process.py). */
#define _XOPEN_SOURCE 700

#include "itg_port.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_or_exit(const char *name, int flags)
{
    const int file = open(name, flags, 0666);
    if (file < 0) {
        itg_port_print(name);
        itg_port_print(" cannot be opened\n");
        itg_port_exit(2);
    }
    return file;
}

void itg_link_open(itg_link *link)
{
    link->requests = open_or_exit("itg_requests", O_RDONLY);
    link->replies = open_or_exit("itg_replies", O_WRONLY | O_CREAT | O_TRUNC);
}

uint32_t itg_link_read(const itg_link *link, void *to, uint32_t bytes)
{
    uint32_t done = 0;
    while (done < bytes) {
        const ssize_t got = read(link->requests, (char *)to + done, bytes - done);
        if (got <= 0) {
            break;
        }
        done += (uint32_t)got;
    }
    return done;
}

static uint32_t write_all(int file, const void *from, uint32_t bytes)
{
    uint32_t done = 0;
    while (done < bytes) {
        const ssize_t put = write(file, (const char *)from + done, bytes - done);
        if (put <= 0) {
            break;
        }
        done += (uint32_t)put;
    }
    return done;
}

uint32_t itg_link_write(const itg_link *link, const void *from, uint32_t bytes)
{
    return write_all(link->replies, from, bytes);
}

void itg_port_print(const char *text)
{
    (void)write_all(STDERR_FILENO, text, (uint32_t)strlen(text));
}

void itg_port_exit(int code)
{
    exit(code);
}
