def misfit(api, path, body):
    return None
