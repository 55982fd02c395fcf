#include <Python.h>
#include "locks.h"

static int execute(PyObject *module)
{
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&second);
    both_hold_one();
    pthread_mutex_lock(&first); /* never returns: the import of `left` owns it */
    Py_END_ALLOW_THREADS
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};
static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "right", .m_slots = slots};

PyMODINIT_FUNC PyInit_right(void)
{
    return PyModuleDef_Init(&definition);
}
