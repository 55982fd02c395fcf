#include <pthread.h>
#include <semaphore.h>

static pthread_mutex_t checking, recursive;
static sem_t recursive_held, go_on;

__attribute__((constructor)) static void prepare(void)
{
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&checking, &kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &kind);
    sem_init(&recursive_held, 0, 0);
    sem_init(&go_on, 0, 0);
}

/* The second thread. */
void recursive_then_checking(void)
{
    pthread_mutex_lock(&recursive);
    pthread_mutex_lock(&recursive);
    sem_post(&recursive_held);
    sem_wait(&go_on);
    pthread_mutex_lock(&checking); /* never returns */
}

/* The main thread. */
void wait_until_recursive_is_held(void)
{
    sem_wait(&recursive_held);
}

void lock_checking(void)
{
    pthread_mutex_lock(&checking);
}

void lock_recursive_and_let_the_other_go_on(void)
{
    sem_post(&go_on);
    pthread_mutex_lock(&recursive); /* never returns */
}
