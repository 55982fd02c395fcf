#include <pthread.h>
#include <stdio.h>
#include <time.h>

static pthread_rwlock_t names = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t values = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;

__attribute__((constructor)) static void prepare(void)
{
    pthread_barrier_init(&barrier, NULL, 2);
}

static void both_write(void)
{
    struct timespec now;
    pthread_barrier_wait(&barrier);
    clock_gettime(CLOCK_MONOTONIC, &now);
    dprintf(2, "onset %ld.%06ld\n", (long)now.tv_sec, now.tv_nsec / 1000);
}

void write_names_and_read_values(void)
{
    pthread_rwlock_wrlock(&names);
    both_write();
    pthread_rwlock_rdlock(&values); /* never returns */
}

void write_values_then_names(void)
{
    pthread_rwlock_wrlock(&values);
    both_write();
    pthread_rwlock_wrlock(&names); /* never returns */
}
