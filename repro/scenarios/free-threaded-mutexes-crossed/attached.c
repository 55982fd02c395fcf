/* CPython's own locks, called as an extension calls them: with the thread attached. Declared here,
   because the headers of a free-threaded build are rarely at hand. */
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <unistd.h>

typedef struct { uint8_t bits; } PyMutex;
typedef struct { uintptr_t previous; PyMutex *mutex; } PyCriticalSection;

void PyMutex_Lock(PyMutex *mutex);
void PyMutex_Unlock(PyMutex *mutex);
void PyCriticalSection_Begin(PyCriticalSection *section, void *object);
void PyCriticalSection_End(PyCriticalSection *section);

static PyMutex mutexes[2];
static pthread_mutex_t native = PTHREAD_MUTEX_INITIALIZER;
static sem_t inside, go_on;

__attribute__((constructor)) static void prepare(void)
{
    sem_init(&inside, 0, 0);
    sem_init(&go_on, 0, 0);
}

void lock(int which) { PyMutex_Lock(&mutexes[which]); }
void unlock(int which) { PyMutex_Unlock(&mutexes[which]); }

/* Called without attaching: they block like any C code. */
void lock_native(void) { pthread_mutex_lock(&native); }
void wait_until_inside(void) { sem_wait(&inside); }
void let_go_on(void) { sem_post(&go_on); }

/* Inside a critical section on an object, wait for something that is not CPython's. */
void lock_native_in_section(void *object)
{
    PyCriticalSection section;
    PyCriticalSection_Begin(&section, object);
    sem_post(&inside);
    sem_wait(&go_on);
    pthread_mutex_lock(&native);
    pthread_mutex_unlock(&native);
    PyCriticalSection_End(&section);
}

void wait_in_section(void *object)
{
    PyCriticalSection section;
    PyCriticalSection_Begin(&section, object);
    sem_post(&inside);
    sem_wait(&go_on);
    PyCriticalSection_End(&section);
}

/* Take the native mutex first, then an object's. */
void enter_section_with_native(void *object)
{
    PyCriticalSection section;
    pthread_mutex_lock(&native);
    sem_post(&go_on);
    PyCriticalSection_Begin(&section, object);
    PyCriticalSection_End(&section);
    pthread_mutex_unlock(&native);
}

/* Attached, and in no system call of CPython's: stop-the-world has to wait. */
void wait_attached(void)
{
    sem_post(&inside);
    sem_wait(&go_on);
}

void sleep_attached(int seconds)
{
    sem_post(&inside);
    sleep(seconds);
}

/* Without attaching: let the other one go on, but late. */
void let_go_on_later(int seconds)
{
    sleep(seconds);
    sem_post(&go_on);
}
