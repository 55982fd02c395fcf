#include <semaphore.h>

static sem_t data, room;

__attribute__((constructor)) static void prepare(void)
{
    sem_init(&data, 0, 0);
    sem_init(&room, 0, 0); /* the mistake: should be 1 */
}

void produce(void)
{
    sem_wait(&room); /* never returns */
    sem_post(&data);
}

void consume(void)
{
    sem_wait(&data); /* never returns */
    sem_post(&room);
}
