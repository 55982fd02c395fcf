#include <pthread.h>
#include <semaphore.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t locked, has_forked;

__attribute__((constructor)) static void prepare(void)
{
    sem_init(&locked, 0, 0);
    sem_init(&has_forked, 0, 0);
}

/* The second thread of the parent. */
void lock_until_forked(void)
{
    pthread_mutex_lock(&lock);
    sem_post(&locked);
    sem_wait(&has_forked);
    pthread_mutex_unlock(&lock);
}

/* The main thread of the parent. */
void wait_until_locked(void)
{
    sem_wait(&locked);
}

void forked(void)
{
    sem_post(&has_forked);
}

/* The only thread of the child. */
void lock_here(void)
{
    pthread_mutex_lock(&lock); /* never returns */
}
