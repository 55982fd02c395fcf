import meeting

meeting.both_began.wait()
import left
