#include <pthread.h>
#include <stddef.h>

static pthread_barrier_t ready;

static void *work(void *unused)
{
    pthread_barrier_wait(&ready); /* never returns */
    return NULL;
}

void start(void)
{
    pthread_t worker;
    pthread_barrier_init(&ready, NULL, 3); /* the mistake: there are two */
    pthread_create(&worker, NULL, work, NULL);
    pthread_barrier_wait(&ready); /* never returns */
}
