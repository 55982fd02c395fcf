/* One io_uring, two linked operations: a timeout, then a write. */
#define _GNU_SOURCE
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

/* Has the kernel write a byte later; returns 0 where that cannot be arranged. */
int write_later(int writer, int seconds) {
    static struct __kernel_timespec time;
    static const char byte = '-';
    time.tv_sec = seconds;
    struct io_uring_sqe chain[2] = {
        /* a timeout that is over has failed, which a hard link survives */
        {.opcode = IORING_OP_TIMEOUT, .flags = IOSQE_IO_HARDLINK, .addr = (unsigned long)&time, .len = 1},
        {.opcode = IORING_OP_WRITE, .fd = writer, .addr = (unsigned long)&byte, .len = 1},
    };
    int ring = open_ring(chain, 2);
    return ring >= 0 && syscall(SYS_io_uring_enter, ring, 2, 0, 0, NULL, 0) == 2;
}
