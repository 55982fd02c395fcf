/* Two mutexes, two threads; whose turn it is keeps what it owns and then lets the other one have it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <time.h>

static pthread_mutex_t mutex[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static pthread_barrier_t both;
static time_t end, now;

static time_t seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

void make(int duration) {
    pthread_barrier_init(&both, NULL, 2);
    end = seconds() + duration;
}

void play(int me) {
    struct timespec millisecond = {0, 1000000};
    for (int turn = 0; now < end; turn++) {
        pthread_mutex_lock(&mutex[me]);
        pthread_barrier_wait(&both);
        if (turn % 2 == me) {
            pthread_mutex_lock(&mutex[1 - me]);
            pthread_mutex_unlock(&mutex[1 - me]);
            pthread_mutex_unlock(&mutex[me]);
            now = seconds();
        } else {
            nanosleep(&millisecond, NULL);
            pthread_mutex_unlock(&mutex[me]);
        }
        pthread_barrier_wait(&both);
    }
}
