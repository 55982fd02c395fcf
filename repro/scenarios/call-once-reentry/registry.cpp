#include <mutex>

static std::once_flag filled;
static int size;

extern "C" int registry_size();

static void fill()
{
    size = registry_size() + 1; // never returns: waits for this very call
}

extern "C" int registry_size()
{
    std::call_once(filled, fill);
    return size;
}
