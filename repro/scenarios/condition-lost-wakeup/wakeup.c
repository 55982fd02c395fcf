#include <pthread.h>
#include <stddef.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ready = PTHREAD_COND_INITIALIZER;

static void *announce(void *unused)
{
    pthread_mutex_lock(&lock);
    pthread_cond_signal(&ready);
    pthread_mutex_unlock(&lock);
    return NULL;
}

void signal_from_a_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, announce, NULL);
    pthread_join(thread, NULL);
}

void wait_for_signal(void)
{
    pthread_mutex_lock(&lock);
    pthread_cond_wait(&ready, &lock); /* never returns: no predicate, and the signal is over */
    pthread_mutex_unlock(&lock);
}
