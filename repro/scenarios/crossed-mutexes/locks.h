#include <pthread.h>

extern pthread_mutex_t first, second;

/* Returns once both imports have locked one mutex each. */
void both_hold_one(void);
