#include <pthread.h>
#include <stddef.h>

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

static void *look_up(void *unused)
{
    pthread_rwlock_rdlock(&lock); /* never returns: rebuild() writes */
    pthread_rwlock_unlock(&lock);
    return NULL;
}

void rebuild(void)
{
    pthread_t reader;
    pthread_rwlock_wrlock(&lock);
    pthread_create(&reader, NULL, look_up, NULL);
    pthread_join(reader, NULL); /* never returns */
    pthread_rwlock_unlock(&lock);
}
