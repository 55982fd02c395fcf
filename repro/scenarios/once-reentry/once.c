#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void initialise(void);

void use(void)
{
    pthread_once(&once, initialise);
}

static void initialise(void)
{
    use(); /* never returns: waits for this very call */
}
