"""TensorFlow: variables of checkpoints come out of the files beside their index; operators that reach files are told."""

from __future__ import annotations

import base64
import json
import os
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load.export import copying
from safe_load.sources import inventory
from safe_load.worker import extract
from safe_load.worker.formats import saved_model, snappy
from safe_load.worker.formats.checksums import masked_crc32c
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, File
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span
from safetensors.torch import load_file

from tests.unit.worker.formats.test_data import judged

if TYPE_CHECKING:
    from pathlib import Path

#: As TensorFlow 2.20 writes them: the checkpoint of a tf.Module with a float32, a float16, an int64, a bfloat16 and
#: texts; and the graph of one that reads and writes files.
FILES = {
    "variables.index": (
        "eNpjYGDjYJRi4mBkkOGLd/ZwdfYO8Pf0C3F08nGN93fycnUOiXcPcgzw4GAXYlAw0TjObCrCvWE2g4xgkr6eY0hIkKdTaIhrsH6Y"
        "Y5AnWE+Yo0+oKwefEIsQEweTgoYGi2nrhJULgeoz8KkXBqtnUZDQ4DBVWvBXnkGGNw+fek6gYxSAandfny/IICNcjk8toxAHyC1A"
        "zKwhYXrgtq04o7xgflFKMT5N7FAP6IAsWaZ4hwEIGEHEFq/kt3DOgU8LNzAwMlcwrGeCiwlvEPDZwsRxkImfgSAI/93QrVLqfhsA"
        "YBpTAA=="
    ),
    "variables.data-00000-of-00001": (
        "eNpjYACBBnsg4QBEQNwAxAuAmMEGKOLEzgABB+wVHBgZq6TX5iQmHWReXGuWx+XJxcrBKMRYDqSYhBgzgBSzEGMekGIRYkzi4uRg"
        "FWItzy9KKebi4WAT4oiPT07MyYmP5+LjYBfiKs5Mz0ssKS1KLdZi4mDkshOy4OILcwzydHTycY0Pc/QJdRXiCEssykxMykmVkinX"
        "13MMCQnydAoNcQ3WR1VHjP4MCvXnUag/iZB+JyEbPPoVwMFIyAx+Lm4ODiH2kqLE5NR4Ay0GLnEuYQ5OIf7i1KKyzLz0+JTUtMTS"
        "nBKgBBMEAwCCQ3aZ"
    ),
    "fingerprint.pb": (
        "eNrjWLC9Z+aRabvedzIKrD+2aO+1mQs2pEu8XzlxasvLa0+mMyoc3r1v18r+r9P7GDW6F757cv5465IQIyYOFit1QyMzEDAFYhMj"
        "SyMjU1MjS1MDA0MzczMDc2NjIwtLExNjC1MAfJQn9Q=="
    ),
    "bad.pb": (
        "eNrVWU1vG8cZ5nBJLvVK1MdQH/TItuR1bahsLVJsXctEmtSUldiuLauykjZBocWaHEkbUbvE7lKSjR5aH9LA6CFoLkGKXNRL42OL"
        "AkUPBVL00h9QtL+j1176zi7J3SW5tGQbjXsgON/zvM+8XzObJvTLm/BvoH8FuAnJG7XaeyWaAnKkkE3x/wj/Gf4/xn/lHGBjwnnU"
        "4GUK46XR0SyJJyamZ1JJaShNf07IJ4TAMiRXTMN22BikzKbTaDpKsibmKGOQPNDqTU5TDjds01Iy4PV4a8IipG/XuOHoziMKkNQN"
        "MRe3H+4shBiGOhjgIwL0Hrd2+HullV1e3WuYuuHYdAay1U5VbVh8Wz/idk6m00Br3HZ0Q3N002j15GRlFsZqvM4drpr1mlrTLZsm"
        "HppmncUXiDIHWa1eNw/Vfd22dWNH3dbr3B8Q+xhFTkFizbzfgHuQWNeqe3QUUq6gNgLOk7WwACNA1qiE0BZIkQTEQXoS2pFuu30s"
        "novBCgyv17Uq30VY3OrlM0yfMglJe1fDqvfHEuV4jsBlSG9wrfY2oqYjkBboDW2f52SGtapp4FE4SA6YMLSB5JgWsonsp9rs0HEY"
        "8Y5LFfMEj5Mw7u6gakZNtet6VbSyCZC9cXYp5cKylRy0ShTquu0siPI3hdiCtDqkHmgHL7gbPe1ub+FueMZVh2ZgCMWu6UIHciB0"
        "3GnpOh+kbLdg7MGuZtW4S6UAJ+h8qNktOumQS79Vy0l4/mA091W3auckFuIdviIw88DRHL7drK9rluMi4bUVVDM6jDpg7dglaVM3"
        "2GgbSimxiQUlC6I5LB2eutvZ1YrAt2liu2lUcUAK5d3Wd2jKdizUYBanMYXBiNeKZmA6ZqhvFjL8iFebqAyqq1+BTuTyd0jnD2BS"
        "iKBXN/gOP3q7Wa/f05zqriDBNVvUB2ijz4GCp9XQHIdbRnstuAvwwC3dQTPFQ0m58/BohcH4c2UFfHtRZmDI5g3N0hBaEBW8D6Pe"
        "apvmWnP/IbdQQTJev+rpCSKinaNN478rmjIPnbJ30CxeJGWAdClF4tLQ9AzkYejHlu7wXguiIQtCZpSkza0Dnk+VFktLi8USO/AK"
        "V6zq0pWrV3a07y4vPVwqlr5XrC0T+lERNmBCzBAoa3xba9Yd9YgGjT4/DaOqB1p1rQA9D8TLsfxw2/YRrqh4lo898Jt4tHpFdbBe"
        "GPkRT9uSIJUIyWdaataqnoMZtWrWhUHpB1zd1wxth1uqXrNpHGKRqOeBqRZ6I9U06o+wZJtNq8pV7+jdmaUuvVToPMggray/O05E"
        "4R0sxErxO7Fl8oTEfk2wlM8LZb+0cREuqLjUNre4gYva+g46+qbF1UNLazQQ3dLVazDiuWrqOewvSStYUe9PyRRq/ABdTBk3LBdP"
        "wr6c5+2w9tPKB2mZxiqbMA8jaULTqlpFclUVRtNxCh1Adj4GYzCclqjsWHjUahEbMGqlE3Ss6xywI9763YdRG/2lpbYV8NSKIocV"
        "5Ys4nInQB3UpWlW6UDCPOVQQV10wFJbishzWF/n10pdLQl/mN87D2aC+qO5ZYIhB8dSla9fhswH8lE7MT8iOXm9eFgQvFzcuwFw/"
        "XiwvO1CXlpfp3y7DEwr6YAIp6rhgQQ0Gd9F5UEKZUWfQJWOk1Fspn7rk+tBj0ienY4cR8aZvKwtuGzbpfCSlU36IApresr9TLhQW"
        "8+yDQQ4ifzKrm247iExl2HUQyUWMYQ7TQHYXRWt7idVn26vTyri7OmDE228U3C1+QTp5T+ufnetHWdnbplxkoy4Svz7egthp6QYp"
        "ixzJE7MvWrYdivSBcuic2JiHb9A+azSei0fuczeYdbUYPQmFUp62KRyqyOiVY2VCEPVUV75XcFd+8UjRb58Y+5T0JpbdDSzrk+af"
        "zPm++Pz+rM9GBKmRsNkvCWS97LwQTMcjhGc9q6QhVU7QeJqEdXWpTcBC5TLqqjuiclZdubW68sP1+7fXNm9U7q6q9yt3Vlc21Xc2"
        "bqzfYiZmMx6Q7lvAy4KZaoMZqUAHTIz9i3QuJq1/xrqYLredO7J8tg9N/hnMR2D3R4Q8Yrcsl2Fe3dVsEReaWl2McSyzjslBgxvo"
        "Nqs6SoeX1Pxkj8wiBox1LkRetGGf4HWw17kW+tyWqXuRHSi4vOXJ1o25ZafEdwwDToT9of8dvl8MKJwMuk9tdBh4SWbROfgvFZ1S"
        "2J1lt3rh9qFqsOv8EcDtTngM7DTRLvnCJrdERvv8Ja8FE+C+KPvLrFwIhmqa9XF1MGACMeXpsdWsuk8s7u3oyKFjNLO3KjKbjSZO"
        "wqRoBjJettLeAfPGcqwcKy2cVB3K38cM+zpEiAlzMKk2MZlW7Qav6ts65iWua5VbXqO8ko7RtyKnX4qYnqHBQ4a/J+HdE9w60P7I"
        "UY6Id4A2hTni5jqRWeSTF7nFkf+nW9sFkW2e3WCQCyWRrSsT0rbEtvqa2XyE+FG2QCJt4Y2QLeS2IhaOMIhz/mnSXoM8hTFMdRuD"
        "i65UOr0GlK+jVl+N1OrZCK2WKDmCz2RYfX7m353T98ng2VMC0523xK87f7CA+Vj+RynEb0nwMdUvhiPEXH+OfDW+GA08MqHL9UAX"
        "nlWE455s4P2g9r/a+PiT58dHz0ZPHRHvnDgiPnetVxvR+hvxqwkz/5DhzWg3GR1d/IdLzFhop1LovCCd/JIk57/R1vXZyhn3npkt"
        "OHjNrGIQsR4t8iNtv4H7bAb3aT+Onmqf0CVJ7EOOEH3gDTYg1WyvTL75zPYC8Q+2v96qMNH+WPJiJJ1vg5+qZF3wmQJ3qoVd03bc"
        "i9ytwNeYTomxnk19oFGGcK/nxburzrLtVcsd8aOXuw2SVsPLrfsBEBMJNhNercesoqPqal/jl3H58uNTBOfFUHCGrc5pfk3heLq/"
        "Dr5EyFWS6WfZ8RF2F8bDb4blIp2NfJlFCqOfJZfj4oOlWK2m7ps1XkcHrhuq2RARzCM0/yYyoQaH6IbuiCGX6MWoLvDmMhFIfgbd"
        "r9RUh/Pog+gZ3Lr7O0K5OE5YjH7L/c4i6CnSuch3VW8wY1483K6bh4XWggV0hTW96pT/k4I3Br+uK2eR8x1ucEuvetybDz8UL2CJ"
        "NMF09J8k9PRe+jMZ4Fq/IPAr8nvpY5wj3spuWDsP8BzpuPeZjqY/lzCYfoiiZ0A+0Cy3EZWRDgs/YO0dupVRSLfo8DonAPYORS7t"
        "Dpc+l2IUVdprCg2kMKwZhum436tx5DMplh85loZAfhpP0FiOPA5KAt/u+wlBQX32byX7WqPFw59I5Y+DRBcxRfn0tZMf2+ErUvkL"
        "Ocm9a5AMrU+t3v6ngT8dgu9TcCoZ6O0B1F9hZ46laRg7lkYAnsZlYVt42iAmK+NP44i2aewZ5qEhmtH6TkDFTXb+WJoF6ViKweQz"
        "aQLGxKqB1RXlmTQH5wJ2OvE0Phqo4pj/AgjB2s0="
    ),
}  # fmt: skip

#: As TensorFlow 2.21 writes it: part [10, 4] in three parts of rows, partb [4, 9] in two of columns, 400 more of [3].
PARTS = (
    "eNqF2XtczPkex/FfmTJdKDlynxmU03Ko7ULhuOS0aMldCG0pt00iFrlNZI3K2Vo5mzWrQezs0VLUFjvsHIbGilo7u3LEtuSYpWNDSxjr"
    "/N6d82jmff4Zj4f9tc+Z3zSfl1/Td+YrCM5Shx6OUgehQ2chJW7VasHBwVGZocyQOnhJvRylEvz1Gx1y9UNjjoukS8a2tlva4RbFaL+A"
    "EL+rnTaLt+34/9tSxNtW5g4OdHLxjv/fw263eVgnhcbBb0pIcq50gruj93b6joomB/Gb3rs8Wy1IBuNp/e9GV9w4TOrq6CnB32GurhKp"
    "xLNd29ft//u1xKFvvM3DubSd4STeC19JpE6eEkHulbpieaJ/0orkxf6pC1ekJPonx4n//0HcqqVx8UmJsQHiY+D8dopiRz/3EGnz02SZ"
    "g9fbbaqDjosRsuQOXtb7GqGHU/ZYFLZqgh4YeX+LwvYR6qF3ThW4iRrYpo3Q1Tv6bxU1qE1boDUvLN+KGtymGe1EXbHj3Q1CHzvTvB0Q"
    "0nZWDs4am2rAYw1pUzX0mMUjUtShbaqFyu+OHitqaJuWQp/8mJokalib6qGpqvQOctspq6DHPwjfQUVqoTEpcjUVaYAmNH7Uj4o0QVP2"
    "+iZTEQt08ujbpVREJUH/yGcGUa0T50H7Fe+6RxNroHduBvrSxEXQsBRff5q4Aur21sBCmtgATXii6CUo7PW3jlODk6pPh+ylIHXQtB2X"
    "+RIxQ+c4fryQgjRDE2+q11EQpZOoyx2a1BQkG3rt5VqBguRDnwatX0RBClvv29XjKAUphvb0j7hOQXTQQ3F9YiiIEXp/Vgp+KKzPzASN"
    "PzPGkyauh/rnKvU0cSN0ZGXSC5q4BXpw7OSdNHGGs6jh3ppr9i//IGuRHJz18EJ5PBVRQyXj8rRURAs9NvzjcipSCm2+fcmNiuih6a9P"
    "6qhIFXR9r1Efym3/VWqhJu0jGRVpgAonIpqpSBM0MnbnPCpigUalzt1IRVTtRTV3PT6ZroE8aP8pjptpYg30T78JC2niIuj9GZEdaeIK"
    "aNresDia2AA9WRlcYr9/sLVIDc6S3VkvyG2fTR3Up5trARUxQ8cvqAihIs3Qcw/c46iIUirqjeubL1CRbOi+vp8mU5F86CeaRRYqUghd"
    "tuLsNSpSDN3i/WAZFdFB/2EK0lIRI/T8Nk09XQMmqOOsue3lto9bD10foh9IEzdCU/cenUcTt0AfRk89SRNnuIj6S8+fztjvP8RaJAdn"
    "dZ32uDcVUUNnXr2XTkW00KjfNf2pSCm0wPCwMxXRQ88p0iZQkSpoypXvrlKRWuil2CJ/ue0jNEBz5GWLqEgTdJekOo+KWKB3LYfLqYjK"
    "Fb9swotc6BrIg87atllJE2ugI2e/v5smLoJO8cn8jSaugGqjzn1OExugUvcVMfb7D7UWqcFZ3Z9NyaUida3PPGkSrhHrfc3Q/sMzzlOR"
    "ZujZiYklVETpJmqnz9KvUpFs6Ix2gy5SkXxo/an5h6hIIdQv0exHRYqhNaGnLFREBz076EEeFTFCAx4qttI1YIJ+8pXpe5q4HpquHPtU"
    "bquNUM/3h/LELdCGGW/fookz3PEchnW5Yr9/mLVIDs76dcT3HlREDXXLTpxHRbTQk96qJ1SkFDp1Wd4AKqKH6m5cDKEiVdBlHz42U5Fa"
    "qDZmQiQVaYAuNH7kKaPlD9R5iWM9LTQt0IB1jZuok6qDqI92xXSlTnnQ5J/8fOnK0ECXzlbzz0oRNPfnTm+oQwVUCMmUUwcDtOyeWWa3"
    "f2CAtVMNznLsWy2lTnXQEOcZwdTJDO27bmgX6tQM7dlhSQ0tNJUdRR3it/hHKpINHXkx4y9UJB+6YtsXC6hIIXRJ+onHVKQYGl8zJJeK"
    "6KDOxYMkVMQIzbm/qYSuDBNUI5X+kSaub30Oj5cpaeJG6J1Fy5U0cQt0+vx1WFfZvP57iNpngmel/f6B1iI5OGv1BH00FVFD5ftkeiqi"
    "hT50umChIqXQnptPLKQieqiT9kIUFamCBksTnalILfR01KdpVKQBuqfv7gNUpAnqsm7PT1TEAo33cV1OK02VJ35fhXZfQ9dAHnSMUzmv"
    "rTVQt4kzD9DERdDzcyfxKqICurpflzE0sQEav1G51n7/IGuRGpz19Q3LIypSB617cfkEFTFDM/eXLaUiza3fd8LMDVRE2UnUvf8OHEgr"
    "zWzoljMPyqlIPvRBJ7+VVKQQOqdkZgAVKYZWFjWmUhEdtHrD0h+oiBH6i3TE+3QNmKDvbDk0lyauh366dWcCTdwI3VQguUwTt0DLTddu"
    "08QZXngFO+7U3+7br0Cbd784qaok6DgFUUM9xmpyKYgWWvFWFL9wlkL/tq3DAwqih1Ym9x5KQaqgF6I2HqYgtdC48NxgCtIAHTRTykvv"
    "JqhzmmIQBbFAP74UUEBBVJ3xJia4IJQWmnlQj+qX39LEGmhm4g5+s1EE/Xv7oA9o4gpo8uhVjjSxAfpW3p4s+5f/EGuRGpz1fZ+R4VSk"
    "Dnp6ScsrKmKG1h0pn0lFmqG//yvkLBVR/gE/ViNMrlQkG7pnkkqghWY+1KXjjKlUpBA6asT+DVSkGDpdEZtDRXTQOaGz71ARI/REgns8"
    "XQMm6Fd5hS00cT20yCEtiiZuhK4fX1xGE7dApQVZBTRxRhdRm7oMaGe//1BrkRyclTCyz3e00FRD34yrf4eKaKHTupn3UZFSaNH0NCMV"
    "0UOjr+i/oiJV0CevJmRSkVronYmjFFSkAbp/46bZVKQJGtagXURFLFDpUGU4FVF5i9pbs8RI10AeVGH89T1aaGqgX0x9HkMTF0EPb3sr"
    "lSaugL7udSGEJjZAlz+Ltb/8DAyzFqnBWXtKTH2pSB10yYLqKVTEDM38+MhwKtIMXTZxsjcVUXYV1bJrWQsVyYZOizbWUJF8aOP59xQy"
    "23+rQujsrcvv0UKzGCpsCbpAnXTQMd89UVEnIzTH/NsA6mSCbv/IPZSujHqo1zEnR+rQCFU9LjhCHVqgyvO/pVCHjG6ifuvpfMNu/6AA"
    "a6ccnNVfd/w0dVJDDZm3B1InLfTKjhxXWmiWQq8/8uePKvTQGnNmBBWpgp7x+WQlFamFupfnRFKRBmicdx7/Sm2Cvtw8YCgVsUDP333b"
    "kYqouou6OEGXRVdGHlR964o7TayBev9rzDmauAj6SL/7HC00K6C3L8aOp4kNUPmmRZ/Z7x9oLVKDsw54PoulInXQydK/u1MRM/Sva0ui"
    "qEgzdHnpsetURNkDrwiv41dSkWxoerjUQEXyoS9Kl/GyqhCaGr2Y35gXQxXjhO200NRBe3cZPomKGKFZXQf/ja4BE/S5t9aLJq6HOj6u"
    "fI8mboR29c1IoolboNeD9Jdo4oye+K38u+qI/f5B1iI5OOvLxw9UVEQNPWpeNIyKaKGOqwbz29RSaH7IXf5IUw/9/J+/9qAiVdCDA3vz"
    "62kt9PCquzIq0gBVV5aoqUgT9Hz4+xIqYoE2St7lnwpVL1GLJX/mpXUe9JlptYIm1kCX+MkUNHERNLdXGO9sVEC/8K14TR9ZGqDzBjl0"
    "s98/xFqkBmdFVD76jIrUQX321fAbUjP0B9eH/Ba9GfpG32cwFVH2xocSsWXOVCQbusEjQUVF8qH3D26KpiKF0NFBZ96lIsXQ+Kw/TaMi"
    "Ouit7iVPaaVphC58Z81m3v2CSiPnjePdL+iz0IBfePcL2nj2rpZ3v6CVN00uvPslwzV7dfA/7fcfYrP+x1nzf3xZwbtf0Ju/Gk7y7hc0"
    "55hvGe9+QQ3Glfd49wtqqrtygVaaVdDNbu4RvPvV+swH6Lfz7hfUUT6kPe9+QSUH10Xw7hc0Y030z7z7JRd14lyXY7z7BZVu2f8R735B"
    "XctO8EqzCLr6J6eOvPsFDd+aU8a7X1D/ud3i7L79CrL59BMnhbw6JOHdL2jDSN0l3v2C6gYGXObdL2hkdix/fqdUiPrd3KMRvPsF3Tn9"
    "+1W8+wW9Wbnta979gs7/88M43v2CLv364Xbe/VK0foZuMPHuFzSh5ZtwWmiaWu+rOLSLd7+gf9l+Mpl3v6A9slJTePcL+mXtqQDe/eqD"
    "F5LIiJX2L/8wm90vnLVs9lkj735BL3+eeYR3v6BLs7XPefcLOi+hx+e8+wW9277nRt79gv6y8PICGS3/oZnnZ72mhWYD9GWvQRNosdUE"
    "db00bQMtSCzQN1tjZ/OnP32xszSwWk+/mPKgg0vH3acXbw10fuGANHoBK2q978XS6fRDXAG9GB33Db1lMkCnjV87ze7lb7v5hZM69/cr"
    "k9G7X2hCd/9bFMQMPW58sY+CNENf6zcFURBlPzyub9UtCpINfX4m6QoFyYdOXB7WnYIUQnvPHDqdghRDnx19L5mC6KBhczPnUBAjNHKD"
    "UxJf/tC1MxfektGHP9CC9FWPaeJG6Ijdixtp4haoWbXRxB9++uA5hDrMspvfdu8LJ63v+E0iBVFD//A0rgMF0UKnjyq8QUFKob4LskwU"
    "RO/TGjqwLwWpgka7yW9QkFrotG2lz2X02Sc08tXaORSkCWpaVBxBQSzQuQ25nSmIyhePIB32M10CedBTF/3H0cQa6Ndbps6iiYugcV3P"
    "WWjiCuiq/dNO0cQG6NnUjPt289tufeGkollZ1RSkDlq2YdVGGX30D914ePtOCtIMHVu99xZ/9N8f21kHR+ykINnQqbVLIyhIPjSo05r5"
    "FKQQuuBNcBoFKYZelsWcpSA6aNIP5cEUxAhtGim/RpeACeoSky2jieuhX9VFhMpo6wsqMyz9N03cAv2s0K0fTZzxR2xra4avsJvfducL"
    "Jw30qt5NQdTQ9MOzelIQLVT75emjFKQU2t1rThkF0UPr97v8yEsfqE4of0BBaqHy6d6jKEgDtJ9lR4Eg/vnWQRAi2wnCJYkgTHAWj+3F"
    "o4t4dBWP7uKxg3j0EI+egjDeSxCMncVjF/HoLR67icfu4rGneOwlHmWCUCkXhHF9BOFiX0GI8BEEg68g9MA32v/mym4cHfAf/ZMDxYJD"
    "u9XCm0ltNr6dOT0jSpob5SHY/RP9Spnls2bczf8A5FGcbg=="
)  # fmt: skip


def data(name: str) -> bytes:
    return zlib.decompress(base64.b64decode(FILES[name]))


INDEX, NUMBERS = "variables.index", "variables.data-00000-of-00001"


def opened(folder: Path, index: bytes, numbers: bytes | None) -> list[dict[str, Any]]:
    """What extraction says of a checkpoint as the inventory of its folder has it; its export is `out`."""
    model = folder / "model"
    model.mkdir()
    (model / INDEX).write_bytes(index)
    if numbers is not None:
        (model / NUMBERS).write_bytes(numbers)
    entries = inventory.take(str(model), every=True).entries
    files = [
        {"path": str(each.place), "name": each.path, "output": None, "parts": list(each.parts)}
        for each in entries
    ]
    files[-1]["output"] = 0
    output = os.open(folder / "out", os.O_WRONLY | os.O_CREAT)
    results: list[dict[str, Any]] = extract.main({"files": files}, [output])["files"]
    os.close(output)
    if numbers is not None:
        sources = [os.open(model / name, os.O_RDONLY) for name in (INDEX, NUMBERS)]
        with (folder / "out").open("r+b") as filled:
            copying.copy(sources, filled.fileno(), results[-1]["runs"])
        for source in sources:
            os.close(source)
    return results


def blocks(index: bytes) -> list[tuple[int, int]]:
    """Where the blocks of a table of one block of keys lie, and how long they are."""
    cursor = Cursor(File("", Span(MemorySource(index), 0, len(index))), len(index) - 48)
    describing = (cursor.varint(), cursor.varint())
    at, size = (cursor.varint(), cursor.varint())
    return [(0, describing[0] - 5), describing, (at, size)]


def sealed(index: bytes) -> bytes:
    """The table with checksums that fit its blocks."""
    made = bytearray(index)
    for at, size in blocks(index):
        crc = masked_crc32c(bytes(made[at : at + size + 1]))
        made[at + size + 1 : at + size + 5] = crc.to_bytes(4, "little")
    return bytes(made)


def test_variables_come_out_of_the_file_beside_the_index(tmp_path: Path) -> None:
    beside, described = opened(tmp_path, data(INDEX), data(NUMBERS))
    assert (described["status"], described["state"], described["carried"]) == ("ok", "data", [])
    assert (beside["format"], beside["state"]) == ("raw", "data")
    got = {name.partition("/")[0]: tensor for name, tensor in load_file(tmp_path / "out").items()}
    assert {name: (tensor.dtype, tensor.tolist()) for name, tensor in got.items()} == {
        "w": (torch.float32, [[0, 1, 2], [3, 4, 5]]),
        "h": (torch.float16, [0, 1, 2, 3]),
        "n": (torch.int64, 7),
        "b": (torch.bfloat16, [1.5, 2.5]),
    }


def test_a_variable_in_parts_of_rows_comes_out_whole(tmp_path: Path) -> None:
    numbers = torch.arange(5104 // 4, dtype=torch.float32)
    index = zlib.decompress(base64.b64decode(PARTS))
    _, described = opened(tmp_path, index, numbers.numpy().tobytes())
    assert described["status"] == "ok"
    assert ["partb" in note for note in described["notes"]] == [True]
    read = load_file(tmp_path / "out")
    assert len(read) == 401
    assert torch.equal(read["part"], numbers[:40].reshape(10, 4))
    assert torch.equal(read["some/long/scope/name/variable_0"], numbers[76:79])


def test_parts_that_overlap_or_leave_rows_out_are_no_variable(tmp_path: Path) -> None:
    index = zlib.decompress(base64.b64decode(PARTS))
    second = index.index(b"\x20\x40\x28\x30\x35")  # offset 64, 48 bytes
    index = sealed(index[: second + 1] + b"\x30" + index[second + 2 :])
    _, described = opened(tmp_path, index, bytes(5104))
    assert "part" not in {row["name"] for row in described["tensors"]}
    assert len(described["notes"]) == 2


def test_an_index_whose_checksum_is_wrong_is_refused(tmp_path: Path) -> None:
    index = bytearray(data(INDEX))
    index[blocks(bytes(index))[0][1] + 1] ^= 1
    _, described = opened(tmp_path, bytes(index), data(NUMBERS))
    assert described["status"] == "not_loadable"
    assert "another checksum" in described["reason"]


def packed(index: bytes) -> bytes:
    """The table with its block of keys as Snappy packs what does not repeat: a size and literals."""
    (_, size), _, _ = blocks(index)
    literals = (index[at : min(at + 60, size)] for at in range(0, size, 60))
    keys = _varint(size) + b"".join(bytes(((len(one) - 1) << 2,)) + one for one in literals)
    handle = _varint(0) + _varint(len(keys))
    describing = b"\0\1" + bytes((len(handle),)) + b"\xff" + handle + bytes(4) + b"\1\0\0\0"
    foot = bytes(2) + _varint(len(keys) + 5) + _varint(len(describing))
    made = b""
    for block in (keys + b"\1", describing + b"\0"):
        made += block + masked_crc32c(block).to_bytes(4, "little")
    return made + foot + bytes(40 - len(foot)) + index[-8:]


def test_variables_of_an_index_that_snappy_packed_come_out(tmp_path: Path) -> None:
    _, described = opened(tmp_path, packed(data(INDEX)), data(NUMBERS))
    assert (described["status"], described["state"]) == ("ok", "data")
    assert len(load_file(tmp_path / "out")) == 4


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


#: By hand: cramjam's compress_raw of 300 texts and random bytes gave the same back.
SNAPPY = {
    b"\x18\x08abc\x52\x03\x00": b"abc" * 8,  # 3 literals, 21 bytes from 3 back
    b"\x0a\x00a\x15\x01": b"a" * 10,  # 1 literal, 9 bytes from 1 back
    b"\x00": b"",
}


@pytest.mark.parametrize("data", SNAPPY)
def test_what_snappy_packed_comes_out(data: bytes) -> None:
    assert snappy.unpacked(data, 1 << 20) == SNAPPY[data]


@pytest.mark.parametrize(
    "data",
    [b"", b"\x18\x08abc", b"\x18\x08abc\x52\x04\x00", b"\x02\x08abc", b"\xff\xff\xff\x7f\x00a", b"\xff" * 9],
)  # fmt: skip
def test_snappy_data_that_is_cut_or_lies_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError):
        snappy.unpacked(data, 1 << 20)


def test_a_graph_behind_more_than_are_looked_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_model, "MAX_NODES", 10)
    content, reading = judged(_field(2, _field(1, b"x")) * 20 + _field(2, META))
    assert getattr(content, "format", content) == "saved-model"
    assert len(reading.carried) == 1


def test_a_message_of_no_known_format_is_no_text() -> None:
    content, _ = judged(GRAPH + _field(9, b"more"))
    assert isinstance(content, RefusedError)
    assert "protocol buffers" in content.reason
    content, _ = judged("\n".join(map(chr, range(1, 500))).encode())  # a vocabulary
    assert (content.state, getattr(content, "format", "")) == ("data", "text")


def test_an_index_alone_says_what_is_missing(tmp_path: Path) -> None:
    (described,) = opened(tmp_path, data(INDEX), None)
    assert described["status"] == "unsupported"
    assert "name the folder that holds both" in described["reason"]


def test_a_file_of_numbers_that_is_cut_is_refused(tmp_path: Path) -> None:
    _, described = opened(tmp_path, data(INDEX), data(NUMBERS)[:20])
    assert described["status"] == "not_loadable"
    assert "which does not fit" in described["reason"]


@pytest.mark.parametrize("name", [INDEX, "bad.pb", "fingerprint.pb"])
def test_what_is_cut_or_damaged_never_fails_otherwise_than_by_a_sentence(name: str) -> None:
    whole = data(name)
    for end in range(0, len(whole), max(1, len(whole) // 20)):
        assert isinstance(judged(whole[:end])[0], (Content, RefusedError))
    for at in range(0, min(len(whole), 1500), 7):
        damaged = whole[:at] + b"\xff\xff" + whole[at + 2 :]
        assert isinstance(judged(damaged)[0], (Content, RefusedError))


def test_operators_that_reach_files_are_a_finding() -> None:
    content, reading = judged(data("bad.pb"))
    assert isinstance(content, Content)
    assert (content.format, content.state) == ("saved-model", "opened")
    assert {text.split()[3].strip(",") for _, text in reading.carried} == {"ReadFile", "WriteFile"}
    assert {ident for ident, _ in reading.carried} == {"SL506"}


@pytest.mark.parametrize(("layer", "count"), [("Lambda", 1), ("Dense", 0), ("MyModel", 0)])
def test_layers_that_tensorflow_2_4_kept_within_the_graph_are_judged(
    layer: str, count: int
) -> None:
    text = json.dumps({"class_name": layer, "config": {}}).encode()
    objects = _field(1, _field(4, _field(1, b"_tf_keras_layer") + _field(3, text)))
    node = _field(1, _field(1, b"x") + _field(2, b"NoOp"))
    _, reading = judged(_field(2, _field(2, node) + _field(7, objects)))
    assert len(reading.carried) == count


def test_the_checksums_of_a_saved_model_are_data() -> None:
    content, _ = judged(data("fingerprint.pb"))
    assert isinstance(content, Content)
    assert (content.format, content.state) == ("fingerprint", "data")


def _field(number: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes((number << 3 | 2, len(value))) + value


def _node(operator: bytes) -> bytes:
    return _field(1, b"node") + _field(2, operator)


GRAPH = _field(1, _node(b"Const")) + _field(1, _node(b"PyFunc"))
META = _field(1, _field(3, b"serve")) + _field(2, GRAPH)
SHUFFLED = {
    "no version": (_field(2, META), "saved-model"),
    "no information on the graph": (b"\x08\x01" + _field(2, _field(2, GRAPH)), "saved-model"),
    "the version last": (_field(2, META) + b"\x08\x01", "saved-model"),
    "the graph before what describes it": (
        _field(2, _field(2, GRAPH) + _field(1, b"")),
        "saved-model",
    ),
    "a graph by itself": (GRAPH, "frozen-graph"),
    "its versions first": (b"\x22\x02\x08\x17" + GRAPH, "frozen-graph"),
    "beside a checkpoint": (META, "meta-graph"),
    "beside a checkpoint, the graph first": (_field(2, GRAPH) + _field(1, b""), "meta-graph"),
    "beside a checkpoint, in two parts": (META + _field(2, GRAPH), "meta-graph"),
    "in a function": (_field(1, _node(b"Const")) + _field(2, _field(1, _field(3, _node(b"PyFunc")))), "frozen-graph"),
}  # fmt: skip


@pytest.mark.parametrize("how", SHUFFLED)
def test_a_graph_is_known_in_whichever_order_its_fields_lie(how: str) -> None:
    whole, kind = SHUFFLED[how]
    content, reading = judged(whole)
    assert isinstance(content, Content), content
    assert (content.format, content.state) == (kind, "opened")
    assert [ident for ident, _ in reading.carried] == ["SL506"]
    _, reading = judged(whole.replace(b"PyFunc", b"Const_"))
    assert reading.carried == []


def layer(config: str) -> bytes:
    """keras_metadata.pb with one node: its number, its path, what it is, its configuration (SavedObject)."""

    def field(number: int, value: bytes) -> bytes:
        return bytes((number << 3 | 2, len(value))) + value

    node = field(3, b"root") + field(4, b"_tf_keras_layer") + field(5, config.encode())
    return field(1, node + field(6, b"\x08\x01"))


def test_layers_beside_a_saved_model_are_judged() -> None:
    content, reading = judged(layer('{"class_name": "Dense", "config": {}}'))
    assert isinstance(content, Content), content
    assert (content.format, content.state, reading.carried) == ("keras-metadata", "data", [])
    content, reading = judged(layer('{"class_name": "Lambda", "config": {}}'))
    assert isinstance(content, Content), content
    assert [ident for ident, _ in reading.carried] == ["SL506"]
