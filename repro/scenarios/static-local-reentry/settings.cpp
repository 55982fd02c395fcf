struct Settings {
    int verbosity;
    Settings();
};

static Settings &settings()
{
    static Settings only; // guarded: the second entry waits for the first
    return only;
}

Settings::Settings() : verbosity(settings().verbosity + 1) {}

extern "C" int verbosity()
{
    return settings().verbosity;
}
