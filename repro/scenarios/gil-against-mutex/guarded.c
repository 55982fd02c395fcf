#include <pthread.h>
#include <semaphore.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t locked, go_on;

__attribute__((constructor)) static void prepare(void)
{
    sem_init(&locked, 0, 0);
    sem_init(&go_on, 0, 0);
}

/* The second thread, without the GIL: returning to Python needs it. */
void lock_and_return(void)
{
    pthread_mutex_lock(&lock);
    sem_post(&locked);
    sem_wait(&go_on);
}

/* The main thread, without the GIL. */
void wait_until_locked(void)
{
    sem_wait(&locked);
}

/* The main thread, with the GIL. */
void lock_too(void)
{
    sem_post(&go_on);
    pthread_mutex_lock(&lock); /* never returns */
}
