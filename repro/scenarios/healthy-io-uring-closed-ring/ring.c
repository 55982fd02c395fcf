/* One io_uring, closed but mapped, with two linked operations: a timeout, then a read into the word waited for. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Makes a ring and queues the entries; returns its descriptor, or -1 where io_uring is refused. */
static int open_ring(const struct io_uring_sqe *entries, unsigned count) {
    struct io_uring_params params = {0};
    int ring = (int)syscall(SYS_io_uring_setup, count, &params);
    if (ring < 0)
        return -1;
    size_t size = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    char *queue = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *slots = mmap(NULL, params.sq_entries * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED,
                                      ring, IORING_OFF_SQES);
    if (queue == MAP_FAILED || (void *)slots == MAP_FAILED)
        return -1;
    memcpy(slots, entries, count * sizeof *slots);
    for (unsigned i = 0; i < count; i++)
        ((unsigned *)(queue + params.sq_off.array))[i] = i;
    __atomic_store_n((unsigned *)(queue + params.sq_off.tail), count, __ATOMIC_RELEASE);
    return ring;
}

static int word;

/* Waits for the kernel to write the word; returns at once where that cannot be arranged. */
void await_word(int seconds) {
    static struct __kernel_timespec time;
    static const int one = 1;
    int pipe_ends[2], ring;
    time.tv_sec = seconds;
    if (pipe(pipe_ends) != 0 || write(pipe_ends[1], &one, sizeof one) != sizeof one)
        return;
    struct io_uring_sqe chain[2] = {
        /* a timeout that is over has failed, which a hard link survives */
        {.opcode = IORING_OP_TIMEOUT, .flags = IOSQE_IO_HARDLINK, .addr = (unsigned long)&time, .len = 1},
        {.opcode = IORING_OP_READ, .fd = pipe_ends[0], .addr = (unsigned long)&word, .len = sizeof word},
    };
    ring = open_ring(chain, 2);
    if (ring < 0 || syscall(SYS_io_uring_enter, ring, 2, 0, 0, NULL, 0) != 2)
        return;
    close(ring);
    while (!__atomic_load_n(&word, __ATOMIC_ACQUIRE))
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}
