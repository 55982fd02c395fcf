#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Takes the lock, says so, and needs the GIL before it gives the lock back. */
static PyObject *hold(PyObject *self, PyObject *arguments)
{
    PyObject *told, *result;
    if (!PyArg_ParseTuple(arguments, "O", &told))
        return NULL;
    pthread_mutex_lock(&lock);
    result = PyObject_CallNoArgs(told);
    Py_XDECREF(result);
    Py_BEGIN_ALLOW_THREADS
    struct timespec pause = {0, 200000000};
    nanosleep(&pause, NULL);
    Py_END_ALLOW_THREADS
    pthread_mutex_unlock(&lock);
    Py_RETURN_NONE;
}

/* The fault: it waits for the lock with the GIL in its hands. */
static PyObject *take(PyObject *self, PyObject *nothing)
{
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"hold", hold, METH_VARARGS, NULL}, {"take", take, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", NULL, -1, methods};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModule_Create(&module);
}
