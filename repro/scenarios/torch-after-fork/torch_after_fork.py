import os
import time

import torch

torch.set_num_threads(2)
values = torch.ones(1000000)
values.exp()
child = os.fork()
if child == 0:
    os.write(2, b"onset %.6f\n" % time.monotonic())
    values.exp()
    os._exit(0)
os.waitpid(child, 0)
