/* Batches of short-lived threads in a chain of mutexes, and pauses. */
#include <pthread.h>
#include <stddef.h>
#include <time.h>

enum { CHAIN = 4 };
static pthread_mutex_t mutex[CHAIN];
static pthread_barrier_t all;

static void *live(void *mine) {
    pthread_mutex_t *next = (pthread_mutex_t *)mine + 1;
    pthread_mutex_lock(mine);
    pthread_barrier_wait(&all);
    if (next < mutex + CHAIN) {
        pthread_mutex_lock(next);
        pthread_mutex_unlock(next);
    }
    pthread_mutex_unlock(mine);
    return NULL;
}

void churn(int batches, int chains_per_batch) {
    struct timespec pause = {0, 500000000};
    pthread_t thread[CHAIN];
    pthread_barrier_init(&all, NULL, CHAIN);
    for (int i = 0; i < CHAIN; i++)
        pthread_mutex_init(&mutex[i], NULL);
    for (int batch = 0; batch < batches; batch++) {
        for (int chain = 0; chain < chains_per_batch; chain++) {
            for (int i = 0; i < CHAIN; i++)
                pthread_create(&thread[i], NULL, live, &mutex[i]);
            for (int i = 0; i < CHAIN; i++)
                pthread_join(thread[i], NULL);
        }
        nanosleep(&pause, NULL);
    }
}
