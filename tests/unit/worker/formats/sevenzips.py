"""Small 7z archives, as the programs wrote them: py7zr 1.1.4, and 7-Zip 22.01 (`7zz a -snl`).

Those of py7zr hold m/model.safetensors, whose tensor `w` is (0, 1, 2), (3, 4, 5), and m/config.json; the encrypted ones hold
model.safetensors, and their password is x. That of 7-Zip holds m/model.safetensors, a pickle that calls os.system, a link to
/etc/passwd, an empty file and an empty folder.
"""

from __future__ import annotations

import base64

_WRITTEN = {
    "LZMA2": (
        "N3q8ryccAAQ4TYzS4gAAAAAAAAAWAAAAAAAAAD1IF3PgAHAAWV0AJAAxD2cSmslZSSo6sHQr3nJZSARRJ3zNIb/bXpouJ+qFzOco"
        "/dvA8J/24OdY4DYauqOHFL7ItGzyjMmYnI/+0Y+cRyOmqpTMn+GKJIupdKbypp5+ZEOcCQAA4ACUAHldAACBMweuD9Ocyz1AwJDS"
        "/3Sh+HGuIHrym02Pe0OLsKx3YlEq5C8gE4vN9ndUsAjZVEKADhDBMMYjqrV+ZRPhAJonnDUD1UlWZB7vyVOqLI+5AqrQPE7N2xUQ"
        "BPQ4N5+y/hc8feBSN1AIC2KvnBopdHNamJOtDIgAAAAAFwZhAQmAgQAHCwEAASEhARgMgJUAAA=="
    ),
    "LZMA": (
        "N3q8ryccAARpvm885AAAAAAAAAAWAAAAAAAAAJdN/k0AJAAxD2cSmslZSSo6sHQr3nJZSARRJ3zNIb/bXpouJ+qFzOco/dvA8J/2"
        "4OdY4DYauqOHFL7ItGzyjMmYnI/+0Y+cRyOmqpTMn+GKJIupdKbypp5+ZEXf6Oc//siQgOAAmAB9XQAAgTMHrg/Tgvy9QMCQ00PE"
        "4fnooDod5514Uest117jepNmeWOy3u9JhPJoKIq1i9inM5S1lOFFyCNpq51qDNJlQtcajXqLUNlj9VuStLlR5ynv3zfHSzijdLse"
        "+bbI9x25sYrM+KStABrsVcopvaMhEz3xUn3MwHQVAAAAAAAXBl8BCYCFAAcLAQABISEBGAyAmQAA"
    ),
    "bzip2": (
        "N3q8ryccAAQlyif8/wAAAAAAAAAWAAAAAAAAAO45QSRCWmg5MUFZJlNZFOvaUgAAI1/QWBBQBHwQwUAACqdAzKpAAEAAIABURRtT"
        "1B6jQaAaDT9KEZKABpoGnqAaCvVHEXggUGKgvsQlCHaw5XumJJLY5VNPBVYy0zEMoOc1HFRLGCCXpkC2AcGVUrOKmmeHzS6bcvxd"
        "yRThQkBTr2lI4ACUAHhdAACBMweuD9Uf6elCFfavK8t29k/ZlHKmtQHDhRj6DV+je5Lt8JQEA2r7pH+crx8hlIXemDvyILFvdp//"
        "85PXzigkoA9hPHgK7mWuOeU2HEhSx9TAsG0xZKcg7TRr5WB+GfcbQzwTIpz3CILhTHAkLiy/Hqu/KgAAAAAXBn8BCYCAAAcLAQAB"
        "ISEBGAyAlQAA"
    ),
    "Deflate": (
        "N3q8ryccAARYjttX1wAAAAAAAAAWAAAAAAAAAFe/ZqPzYICAaqVyJSuFaqWUksqCVCBLyc3YSElHQak4IxHMjzbSUTCOBQqkJJYk"
        "xuenpRWnlhSDxA10FIxMYmtrFSAAYlqDPZBwACIgbgDiBQ7VSolA1Ya1XADgAJQAeF0AAIEzB64P0xvCvUDAkM7lyzKfFiFjJat2"
        "8bMbJq2RhsylXK4WMyOZwM5dwMbfGytu88OV53E+LOSB7xr6+tRwjdO2JKh1IMx8YnnbJE6yZnAiupvqhJyIT0rmkSxftjmoLUsJ"
        "KUnMMogW/6IYP3y4wVTCRHB8AAAAABcGVwEJgIAABwsBAAEhIQEYDICVAAA="
    ),
    "zstd": (
        "N3q8ryccAAQY0Apz8gAAAAAAAAAWAAAAAAAAACOMDZIotS/9AFgNAwCyhRQcoCkd/yfatvm55TZBnGiEhh5BBMbnyg5Sv8Y3BYAl"
        "8D2vsNFi0yK22JbQ1Gslg2MLIL6jtCCGSRwypXJbctgOkgh0289RuO+LgpGUK98XVzUEBABACOHmPfOOAbQB4ACcAIBdAACBMweu"
        "D9QQ7H1AwJDTZw7yZgnTZfjlVBzCaKSuOEyGVZAZU5oHokkc4rKkBv3xRdiBU9wxGZ+yXh4t6L4FkHu//xj3HHZREvovZXDP8JFj"
        "B89b5dDfJEn+78iFqlRJVHyWM4zcgo2J5f5hN4G1UlWdW5d8soNOb9XaTU2cAAAAABcGagEJgIgABwsBAAEhIQEYDICdAAA="
    ),
    "stored": (
        "N3q8ryccAATXYBko7wAAAAAAAAAVAAAAAAAAAK9et/JIAAAAAAAAAHsidyI6IHsiZHR5cGUiOiAiRjMyIiwgInNoYXBlIjogWzIs"
        "IDNdLCAiZGF0YV9vZmZzZXRzIjogWzAsIDI0XX19ICAgICAgIAAAAAAAAIA/AAAAQAAAQEAAAIBAAACgQHsiYSI6IDF9CuAAkAB2"
        "XQAAgTMHrg/Uaz+VQhX20fPBY4penqmA6VzINle+AaL9YiNNlAQY+MV+XMEE6nRNP4/f7TqLwRB4/dANzGaNqjhd5vYHL719eOlG"
        "TpSW7fXllmTTfPpTBI95Qhfqcgacu6wOZNYmhgXLYksG4Jfw01iqQK6QAAAAABcGcQEJfgAHCwEAASEhARgMgJEAAA=="
    ),
    "delta and LZMA2": (
        "N3q8ryccAATCeIGQ+QAAAAAAAAAWAAAAAAAAAI6W+mHgAHAAal0AJC38Gme3j5pGAJeFIbl3A77XoEC7VIZLR842MdEDR9Za5q6L"
        "efhxtTLUHOBvoxfXJ+aUkw5hyqVBJCUd8uN+JzVGK+luR2qFARCOr2AZaiicXVh8JuWWLwWkoI+juknrdirk7GHer72MAADgAJwA"
        "f10AAIEzB64P1HgnLUIQ+iJr+bm9+SlLvY61fuooTwq6HhzAiV5gj4ylkP8yBjgJ65CdG9djEtJx1mc4K6HslB/UJfzx/JxMufC7"
        "46nWrZIg9ySNsTXyoKrsEKLAHMw2A4c6uZPKsKG6lo06qOS/RTtD498nu58hNKad71yxAAAAAAAXBnIBCYCHAAcLAQABISEBGAyA"
        "nQAA"
    ),
    "BCJ and LZMA2": (
        "N3q8ryccAAS0PlUy6AAAAAAAAAAWAAAAAAAAAGFwlS7gAHAAWV0AJAAxD2cSmslZSSo6sHQr3nJZSARRJ3zNIb/bXpouJ+qFzOco"
        "/dvA8J/24OdY4DYauqOHFL7ItGzyjMmYnI/+0Y+cRyOmqpTMn+GKJIupdKbypp5+ZEOcCQAA4ACcAH9dAACBMweuD9Ocyz1Au5Rk"
        "HH7qyxAD7ZRJXuARKEmGocITN/dUtKRjp3kTod0zAJ2RckD073HfUIXz5Q7gSmnfzjqBE6a4B2bUB6+gJgjMn6RkS/Ubs7CIgxp0"
        "az+Moj02D7KO2Fv6WaM903kVfW4ZdNVe6rXgcj+UL1gefeAAAAAAFwZhAQmAhwAHCwEAASEhARgMgJ0AAA=="
    ),
    "PPMd": (
        "N3q8ryccAASENv1j1AAAAAAAAAAWAAAAAAAAANrBnuYAR7hKF9t3GSo1Lw/OqSMtfRENe13h8Nu+c9cl2h81bp7IG8VemTE+dTec"
        "WajOmRxhPbdgzSq+NdF8/ZVRVyjbTeb5fm9xUrNRhxreCgDgAJwAfl0AAIEzB64P0qehfUDAkNNDxSotA6NXNEhwW6sqdaWFaJVv"
        "c9kVTnc5yCnScwBIAhz5H7Vg2ERea/8fx3G9N2sjtpcBV/diLnirvQLbQeaThGyVu8RGJ4bb425tYFdzSAxHXrajnuRBQeZDh1ti"
        "0EMSEjU88HmUT+5R98qPAAAAABcGTgEJgIYABwsBAAEhIQEYDICdAAA="
    ),
    "encrypted": (
        "N3q8ryccAAQi/DKe4wAAAAAAAAAVAAAAAAAAALRhegpONKT44JZD1Y4sqiMq4lo2bDt5j49z0NQ5KRRuWIQ1jnwEzy6DeCZ2KttR"
        "0PQAg1nKHTIftFdU77rQt1sDWUwAB792m/eeknmtN7gAEHKJ/WLIJcAVluG+2xp6ovKeZojgAHwAe10AAIEzB64P05AmW+cn33uO"
        "KqsQqFkMh1aGIjngib/JuIYwj/rxhfTJ0n2I2WSrODsTjoenO/Lp2xzlG8ptFo2JCVJbNJClMiKNiCxC2wWlrLEhi+7b9S62iEcZ"
        "+Tnhfzy0vpwDBBAANL+4+sDharRG2c0XRyKD6BPNwAAAABcGYAEJgIMABwsBAAEhIQEYDH0AAA=="
    ),
    "encrypted whole": (
        "N3q8ryccAASB5xSF4AAAAAAAAAApAAAAAAAAAK1S0YJDGVeIG9Ttjv0zqYkLCoNdQZ0iXFh+Ljg1i4kdFSDO5CVRETcGKp9itzJE"
        "yv88Wib1x1I/7bd/vj8hnz58k+MjNnegFl1+2ZCozx0hPxg2qnCxofP1u5F8hVRQDfBqKtPQ0gpJWN8r+nh+Lkx0gB9pvmE7VEyT"
        "T7fjae2WuW9pqz/VQbReBcrMbEMhgsU9YT/PStypu0mDRWnPiDjAH5koOHlmuWXJABbNxlm9TJLPpwvD84nnH0545ugW8c9SIkUA"
        "9mel8rPphdsobl+i4LMrSp3Um4zRHm9M9DDrgxLXERcGYAEJgIAABwsBAAEkBvEHARJTDzgMtM2CUnQT1J3htt+jwcgMfQAA"
    ),
    "7-Zip": (
        "N3q8ryccAASyePtVJQEAAAAAAAAiAAAAAAAAAOhQ04XgAIkAcl0AMZvKxrJ8Zd/fkVmfsdZ+Lop3OA3kdIFxJLWwWUzn+2JkhfHJ"
        "zKpA8LvJT4eWacZ+4Pjhv1EFwJ09erAoZNHaoBJow50HIssCwW0sTHzZGSgl10REv7s7aVsPBaU4ebZQZ7OxMxNICVrmIb7K4VG4"
        "tAAAAAAAgTMHrg/U32PxQhX2s0V9aU2PFpj+Y3nZ1M5C40q0oiP70kV7bv+TeU0zWhBHkAMeXN7GlRVarRfjKBGBr5d5gPg2Da6e"
        "bGKwJrBkpGFXGcnz9eE+MHZWJxWft+Lc4Hp3A9VWhXmw0cTzEYHTWb663x4V64dAyTvfeBAd+4F4rfQhZsuNoxfRE1nVx2QfUXie"
        "OZOCefmgj/Iiqiw8Pn4UzO1szu+PwAAAABcGegEJgKsABwsBAAEjAwEBBV0AEAAADIEOCgE9+V1YAAA="
    ),
}  # fmt: skip
WRITTEN = {name: base64.b64decode(text) for name, text in _WRITTEN.items()}
