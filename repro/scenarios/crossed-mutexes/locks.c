#include "locks.h"
#include <stdio.h>
#include <time.h>

pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;

static pthread_barrier_t barrier;

__attribute__((constructor)) static void prepare(void)
{
    pthread_barrier_init(&barrier, NULL, 2);
}

void both_hold_one(void)
{
    struct timespec now;
    pthread_barrier_wait(&barrier);
    clock_gettime(CLOCK_MONOTONIC, &now);
    dprintf(2, "onset %ld.%06ld\n", (long)now.tv_sec, now.tv_nsec / 1000);
}
