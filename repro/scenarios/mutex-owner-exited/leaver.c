#include <pthread.h>
#include <stddef.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *lock_and_end(void *unused)
{
    pthread_mutex_lock(&lock);
    return NULL;
}

void lock_in_a_thread_that_ends(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, lock_and_end, NULL);
    pthread_join(thread, NULL);
}

void lock_here(void)
{
    pthread_mutex_lock(&lock); /* never returns */
}
