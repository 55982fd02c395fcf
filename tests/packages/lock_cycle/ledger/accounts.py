import threading

from ledger import journal

accounts = threading.Lock()
both = threading.Barrier(2)


def book():
    with accounts:
        both.wait()
        journal.write()


def open_books():
    worker = threading.Thread(target=journal.post, args=(both, accounts))
    worker.start()
    book()
    worker.join()
