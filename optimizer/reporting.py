"""placeholder"""


def write(services, study, path):
    pass
