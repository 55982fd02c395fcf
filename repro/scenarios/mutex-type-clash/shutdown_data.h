// What both copies are built from, each after defining its own `Mutex`.
struct ShutdownData {
    Mutex mutex;
    int registered = 0;

    // Inline, hence a weak symbol, and so is its static: one of each per process, not per library.
    static ShutdownData *get()
    {
        static ShutdownData *data = new ShutdownData;
        return data;
    }
};
