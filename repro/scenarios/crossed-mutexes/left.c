#include <Python.h>
#include "locks.h"

static int execute(PyObject *module)
{
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&first);
    both_hold_one();
    pthread_mutex_lock(&second); /* never returns: the import of `right` owns it */
    Py_END_ALLOW_THREADS
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};
static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "left", .m_slots = slots};

PyMODINIT_FUNC PyInit_left(void)
{
    return PyModuleDef_Init(&definition);
}
