def prepare():
    import fastthing.plans

    return fastthing.plans
