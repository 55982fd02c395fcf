import socket
import urllib.request

# A server of our own, which takes connections and never answers.
listener = socket.create_server(("127.0.0.1", 0))
ADDRESS = "http://127.0.0.1:%d/settings" % listener.getsockname()[1]


def load():
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(ADDRESS).read()
