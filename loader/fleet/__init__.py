"""Judging on other machines: jobs that go by content address, and who does them.

Zone: controller. `jobs` is what a machine is given and what it answers; `objects` is where files, results and cleared
copies lie; `work` does one job; `folder` and `on_ray` are the two ways to have many done. A scan and a gateway's queue
use both through `driver`. Whoever can write into the store can forge a verdict: it is as trusted as the
gateway's own data.
"""
