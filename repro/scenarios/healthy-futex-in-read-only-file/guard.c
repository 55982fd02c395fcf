/* A word in a file: one process waits on it, which can only read; another sets it. */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int file;

int make(void) {
    file = (int)syscall(SYS_memfd_create, "guard", 0);
    return file < 0 ? -1 : ftruncate(file, 4096);
}

void await_it(void) {
    volatile int *word = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    while (*word == 0)
        syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

void open_it(void) {
    int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
