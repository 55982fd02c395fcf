// The older copy: a mutex that begins with a signature while it is valid, as Apple's
// pthread_mutex_t does (PTHREAD_MUTEX_SIG, "MUTX").
#include <pthread.h>

struct Mutex {
    long signature = 0x4d555458;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    void lock() { pthread_mutex_lock(&mutex); }
    void unlock() { pthread_mutex_unlock(&mutex); }
};

#include "shutdown_data.h"

extern "C" void older_register()
{
    ShutdownData *data = ShutdownData::get();
    data->mutex.lock();
    data->registered++;
    data->mutex.unlock();
}
