"""How to ask: a library and a command line, without TensorFlow.

    from clients.http_client import HttpClient
    with HttpClient("http://127.0.0.1:8080") as client:
        print(client.classify([Path("cat.jpg")])[0].label)

`client.py` has what both protocols share, `answers.py` what comes back, `serving/errors.py` what
can go wrong. Nothing here imports a picture library before a picture has to be prepared.
"""
