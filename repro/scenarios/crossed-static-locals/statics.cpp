#include <ctime>
#include <pthread.h>
#include <stdio.h>

static struct Meeting {
    pthread_barrier_t barrier;
    Meeting() { pthread_barrier_init(&barrier, nullptr, 2); }
    void both_are_initialising()
    {
        timespec now;
        pthread_barrier_wait(&barrier);
        clock_gettime(CLOCK_MONOTONIC, &now);
        dprintf(2, "onset %ld.%06ld\n", (long)now.tv_sec, now.tv_nsec / 1000);
    }
} meeting;

struct Codecs { Codecs(); };
struct Devices { Devices(); };

static Codecs &codecs()
{
    static Codecs only;
    return only;
}

static Devices &devices()
{
    static Devices only;
    return only;
}

Codecs::Codecs()
{
    meeting.both_are_initialising();
    devices(); // never returns
}

Devices::Devices()
{
    meeting.both_are_initialising();
    codecs(); // never returns
}

extern "C" void use_codecs() { codecs(); }
extern "C" void use_devices() { devices(); }
