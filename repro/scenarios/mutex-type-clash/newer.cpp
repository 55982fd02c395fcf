// The newer copy: a mutex in one word, with the bits and the slow path of Abseil's
// (absl/synchronization/mutex.cc, LTS 20230802), as far as this path goes.
#include <atomic>
#include <cstdint>
#include <ctime>
#include <sched.h>
#include <stdio.h>

class Mutex {
    static constexpr intptr_t kMuReader = 0x01, kMuWriter = 0x08, kMuEvent = 0x10, kMuSpin = 0x40;
    std::atomic<intptr_t> word{0};

    static int delay(int round) // MutexDelay(c, GENTLE)
    {
        if (round < 250)
            return round + 1;
        if (round == 250) {
            sched_yield();
            return round + 1;
        }
        timespec nap = {0, 10000};
        nanosleep(&nap, nullptr);
        return 0;
    }

    void lock_slow()
    {
        if (word & kMuEvent)
            dprintf(2, "[mutex.cc : 452] RAW: Lock blocking %p\n", (void *)this);
        for (int round = 0;; round = delay(round)) {
            intptr_t now = word;
            bool taken = now & (kMuReader | kMuWriter);
            if (!taken && word.compare_exchange_strong(now, now | kMuWriter))
                return;
            if ((now & kMuSpin) == 0) // the real one would queue itself and sleep in the kernel
                return;
        }
    }

  public:
    void lock()
    {
        intptr_t free = 0;
        if (!word.compare_exchange_strong(free, kMuWriter))
            lock_slow(); // never returns: "MUTX" reads as Writer, Event and Spin
    }
    void unlock() { word &= ~kMuWriter; }
};

#include "shutdown_data.h"

extern "C" void newer_register()
{
    ShutdownData *data = ShutdownData::get();
    data->mutex.lock();
    data->registered++;
    data->mutex.unlock();
}
